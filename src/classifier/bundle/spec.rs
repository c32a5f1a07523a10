//! The manifest boiled down to what the stages need, or the words why it cannot be.

use super::manifest::{Manifest, NetworkFacts, SecondLookFacts, Side, TensorFacts, TrackerFacts};
use super::{MAX_OPSET, SCHEMA, hex, refuse};
use crate::classifier::ClassifierError;
use crate::event::policy::PolicyModel;
use crate::frame::Size;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// Memory of one picture where the manifest does not say: twice what a MobileNetV3-Large takes at 256×192.
const PICTURE_MB: f32 = 24.0;

/// The facts that the stages need, checked.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Name and version, as shown.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// SHA-256 over both networks' hashes: which model this is.
    pub sha256: String,
    /// Numbers inside the networks; shown, not used.
    pub precision: String,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// Size of a fitted picture.
    pub frame: Size,
    /// Grey value beside a fitted picture.
    pub pad: u8,
    /// Ticks in a full ring.
    pub ticks: usize,
    /// Ticks a second.
    pub rate_hz: f64,
    /// Ticks before the first score.
    pub min_ticks: usize,
    /// Missed ticks that may repeat the last entry.
    pub hold_ticks: usize,
    /// People in a picture at most.
    pub people: usize,
    /// Keypoints of each.
    pub keypoints: usize,
    /// Numbers for each person.
    pub person_len: usize,
    /// Numbers for the scene.
    pub scene_len: usize,
    /// Numbers carried from tick to tick, all state tensors together, in the order of the encoder's inputs.
    pub states: Vec<usize>,
    /// How people are followed.
    pub tracker: TrackerFacts,
    /// Score the scene by itself too.
    pub scene_row: bool,
    /// Memory that one picture of a batch takes inside the encoder, in MiB.
    pub picture_mb: f32,
    /// Divides the logits before softmax.
    pub temperature: f32,
    /// When scores become an alert.
    pub policy: PolicyModel,
    /// When the mirror images are asked about as well.
    pub second_look: Option<SecondLookFacts>,
}

impl Spec {
    /// Numbers carried from tick to tick for one camera.
    pub fn state_len(&self) -> usize {
        self.states.iter().sum()
    }

    /// The longest time from one picture to the next that a clip bridges; what comes later begins a new one.
    pub fn bridge(&self) -> Duration {
        Duration::from_secs_f64((self.hold_ticks as f64 + 1.0) / self.rate_hz)
    }

    /// True if people are told with COCO's 17 keypoints, which posture and evidence read.
    pub fn has_bodies(&self) -> bool {
        self.people > 0 && self.keypoints == 17
    }

    /// Place of a class among the logits.
    pub fn class(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class == name)
    }
}

/// Boils the manifest down to a [`Spec`], or says which fact cannot be.
pub(super) fn check(manifest: &Manifest, path: &Path) -> Result<Spec, ClassifierError> {
    let wrong = |key: &str, value: &dyn std::fmt::Display, want: &str| {
        ClassifierError::Bundle(format!("{}: {key} is {value}, but {want}. Install the bundle again.", path.display()))
    };
    if manifest.schema != SCHEMA {
        return refuse(format!(
            "{}: schema is {}, but this falld reads schema {SCHEMA}. Install a bundle made for this version, or the \
             falld that belongs to the bundle.",
            path.display(),
            manifest.schema
        ));
    }
    let frame = &manifest.frame;
    if frame.channels != "rgb" {
        return Err(wrong("frame.channels", &frame.channels, "only rgb is known"));
    }
    if frame.fit != "letterbox" {
        return Err(wrong("frame.fit", &frame.fit, "only letterbox is known"));
    }
    if !(1..=4096).contains(&frame.width) || !(1..=4096).contains(&frame.height) {
        return Err(wrong(
            "frame",
            &format!("{}×{}", frame.width, frame.height),
            "1 to 4096 pixels a side are possible",
        ));
    }
    let clip = &manifest.clip;
    if !(1..=1024).contains(&clip.ticks) {
        return Err(wrong("clip.ticks", &clip.ticks, "1 to 1024 are possible"));
    }
    if !(clip.rate_hz > 0.0 && clip.rate_hz <= 240.0) {
        return Err(wrong("clip.rate_hz", &clip.rate_hz, "it must lie between 0 and 240"));
    }
    if !(1..=clip.ticks).contains(&clip.min_ticks) {
        return Err(wrong("clip.min_ticks", &clip.min_ticks, "it must lie between 1 and clip.ticks"));
    }
    if clip.hold_ticks >= clip.ticks {
        return Err(wrong("clip.hold_ticks", &clip.hold_ticks, "no clip may span a gap: it must be below clip.ticks"));
    }
    if manifest.people.max > 64 {
        return Err(wrong("people.max", &manifest.people.max, "64 people at most can be followed"));
    }
    if !(manifest.temperature.is_finite() && manifest.temperature > 0.0) {
        return Err(wrong("temperature", &manifest.temperature, "it must be above 0"));
    }
    for required in ["fall", "fallen"] {
        if !manifest.classes.iter().any(|class| class == required) {
            return Err(wrong("classes", &format!("{:?}", manifest.classes), &format!("`{required}` is needed")));
        }
    }
    if manifest.probe.logits.len() != manifest.classes.len() {
        return Err(wrong("probe.logits", &manifest.probe.logits.len(), "one for each class is needed"));
    }
    manifest
        .policy
        .check()
        .map_err(|text| ClassifierError::Bundle(format!("{}: {text}. Install the bundle again.", path.display())))?;
    second_look(manifest)
        .map_err(|text| ClassifierError::Bundle(format!("{}: {text}. Install the bundle again.", path.display())))?;
    let shapes = shapes(manifest).map_err(|text| ClassifierError::Bundle(format!("{}: {text}", path.display())))?;
    if let Some(person) = manifest.probe.person.as_ref().filter(|person| person.row.len() != shapes.person) {
        return Err(wrong(
            "probe.person.row",
            &format!("{} numbers long", person.row.len()),
            &format!("the encoder's rows have {}", shapes.person),
        ));
    }
    let mut digest = Sha256::new();
    digest.update(&manifest.encoder.sha256);
    digest.update(&manifest.head.sha256);
    Ok(Spec {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        sha256: hex(&digest.finalize()),
        precision: manifest.encoder.precision.clone(),
        classes: manifest.classes.clone(),
        frame: Size { width: frame.width, height: frame.height },
        pad: frame.pad,
        ticks: clip.ticks,
        rate_hz: clip.rate_hz,
        min_ticks: clip.min_ticks,
        hold_ticks: clip.hold_ticks,
        people: manifest.people.max,
        keypoints: manifest.people.keypoints,
        person_len: shapes.person,
        scene_len: shapes.scene,
        states: shapes.states,
        tracker: manifest.tracker,
        scene_row: manifest.head.scene_row,
        picture_mb: manifest.encoder.memory_mb.unwrap_or(PICTURE_MB),
        temperature: manifest.temperature,
        policy: manifest.policy,
        second_look: manifest.second_look,
    })
}

/// Says why a manifest's pictures cannot be looked at twice.
fn second_look(manifest: &Manifest) -> Result<(), String> {
    let Some(facts) = manifest.second_look else { return Ok(()) };
    let least = manifest.policy.fall.enter.min(manifest.policy.climb.enter);
    if !(facts.from > 0.0 && facts.from <= least) {
        return Err(format!(
            "second_look.from is {}, but it must lie above 0 and at or below the least enter of policy, {least}, or alerts would come without \
             a second look",
            facts.from
        ));
    }
    // What is said of a mirror image is turned back joint by joint; a state would have to be carried for both.
    let bodies = manifest.people.max > 0 && manifest.people.keypoints == 17;
    if !bodies || manifest.encoder.inputs.iter().any(|tensor| tensor.role == "state") {
        return Err("second_look needs an encoder that tells COCO's 17 keypoints and carries no state".into());
    }
    Ok(())
}

struct Shapes {
    person: usize,
    scene: usize,
    states: Vec<usize>,
}

/// The lengths that must agree across the tensors of both networks.
fn shapes(manifest: &Manifest) -> Result<Shapes, String> {
    let find = |network: &str, tensors: &[TensorFacts], role: &str| -> Result<TensorFacts, String> {
        tensors
            .iter()
            .find(|tensor| tensor.role == role)
            .cloned()
            .ok_or_else(|| format!("{network} has no tensor with the role `{role}`. Install the bundle again."))
    };
    let expect = |tensor: &TensorFacts, dtype: &str, row: &[usize]| -> Result<(), String> {
        let want = row.iter().map(|length| Side::Fixed(*length)).collect::<Vec<_>>();
        if tensor.dtype != dtype || tensor.shape.get(1..) != Some(&want[..]) {
            return Err(format!(
                "tensor `{}` is {} {:?}, but {dtype} [·, {row:?}] is needed. Install the bundle again.",
                tensor.name, tensor.dtype, tensor.shape
            ));
        }
        Ok(())
    };
    let (frame, clip, people) = (&manifest.frame, &manifest.clip, &manifest.people);
    let known = |network: &str, facts: &NetworkFacts, inputs: &[&str], outputs: &[&str]| -> Result<(), String> {
        if facts.opset > MAX_OPSET {
            return Err(format!(
                "{network}.opset is {}, but opsets up to {MAX_OPSET} run on every supported runtime. Export it again.",
                facts.opset
            ));
        }
        for (tensors, roles) in [(&facts.inputs, inputs), (&facts.outputs, outputs)] {
            if let Some(tensor) = tensors.iter().find(|tensor| !roles.contains(&tensor.role.as_str())) {
                return Err(format!(
                    "{network}: tensor `{}` has the unknown role `{}`; known here: {}. Install a falld that knows it.",
                    tensor.name,
                    tensor.role,
                    roles.join(", ")
                ));
            }
        }
        Ok(())
    };
    known("encoder", &manifest.encoder, &["frame", "previous", "state"], &["people", "scene", "state"])?;
    known("head", &manifest.head, &["person", "scene", "mask"], &["logits"])?;

    let person = people.keypoints * 3 + 5 + people.embedding;
    expect(&find("encoder", &manifest.encoder.inputs, "frame")?, "u8", &[frame.height, frame.width, 3])?;
    expect(&find("encoder", &manifest.encoder.outputs, "people")?, "f32", &[people.max, person])?;
    let scene_out = find("encoder", &manifest.encoder.outputs, "scene")?;
    let scene = scene_out.row_len().ok_or_else(|| format!("tensor `{}` must have a fixed length", scene_out.name))?;
    expect(&scene_out, "f32", &[scene])?;
    expect(&find("head", &manifest.head.inputs, "person")?, "f32", &[clip.ticks, person])?;
    expect(&find("head", &manifest.head.inputs, "scene")?, "f32", &[clip.ticks, scene])?;
    expect(&find("head", &manifest.head.inputs, "mask")?, "f32", &[clip.ticks, 2])?;
    expect(&find("head", &manifest.head.outputs, "logits")?, "f32", &[manifest.classes.len()])?;

    let mut states = Vec::new();
    for input in manifest.encoder.inputs.iter().filter(|tensor| tensor.role == "state") {
        let source = input.from.as_deref().unwrap_or_default();
        let output = manifest.encoder.outputs.iter().find(|tensor| tensor.name == source && tensor.role == "state");
        match (output, input.row_len()) {
            (Some(output), Some(length)) if output.shape == input.shape && input.dtype == "f32" => states.push(length),
            _ => {
                return Err(format!(
                    "state `{}` needs an f32 output of the same fixed shape, named in `from`. Install the bundle again.",
                    input.name
                ));
            }
        }
    }
    Ok(Shapes { person, scene, states })
}
