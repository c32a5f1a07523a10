//! The shipped bundle on the real runtime: it answers as it was made, streaming equals whole clips, and what is broken
//! is refused with words that help.
#![cfg(feature = "ort")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use falld::body;
use falld::classifier::bundle::Bundle;
use falld::classifier::ort::OrtClassifier;
use falld::classifier::{Classifier, Encoding, Scoring};
use falld::config::{ModelConfig, PolicyConfig, Provider};
use falld::engine::Engine;
use falld::frame::Frame;
use falld::probe;
use falld::tracker::Tracker;
use std::path::{Path, PathBuf};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/bundle")
}

fn config() -> ModelConfig {
    let runtime = std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".falld/libonnxruntime.so"), PathBuf::from);
    ModelConfig { path: shipped(), runtime, providers: vec![Provider::Cpu], ..ModelConfig::default() }
}

fn load(cameras: usize) -> (Bundle, OrtClassifier) {
    let bundle = Bundle::open(&shipped()).unwrap();
    let classifier = OrtClassifier::load(&bundle, &config(), cameras).unwrap();
    (bundle, classifier)
}

/// A copy of the shipped bundle that a test may break.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(shipped()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn edit(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("manifest.json");
    let mut manifest = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(path, manifest.to_string()).unwrap();
}

fn refusal(folder: &Path) -> String {
    Bundle::open(folder).expect_err("a broken bundle must be refused").to_string()
}

#[test]
fn the_shipped_bundle_answers_as_it_did_when_it_was_made() {
    let (bundle, classifier) = load(1);
    let policy = PolicyConfig::default();
    let mut engine = Engine::new(Box::new(classifier), 1, 1, &policy);
    let found = probe::run(&mut engine, &bundle.manifest.probe, &policy).unwrap();
    assert!(found.logits <= 1e-3, "the same runtime on the same kind of machine: {found:?}");
    assert!(found.person.is_some_and(|apart| apart <= 1e-3), "{found:?}");
}

#[test]
fn an_encoder_that_no_longer_finds_the_drawn_person_is_refused() {
    let (mut bundle, classifier) = load(1);
    let person = bundle.manifest.probe.person.as_mut().unwrap();
    person.row[..51].rotate_left(18); // every joint is promised where another one is
    let policy = PolicyConfig::default();
    let mut engine = Engine::new(Box::new(classifier), 1, 1, &policy);
    let error = probe::run(&mut engine, &bundle.manifest.probe, &policy).unwrap_err().to_string();
    assert!(error.contains("the person drawn in the probe clip"), "{error}");
}

#[test]
fn another_promise_than_the_models_answer_is_refused() {
    let (mut bundle, classifier) = load(1);
    bundle.manifest.probe.logits[0] += 1.0;
    let policy = PolicyConfig::default();
    let mut engine = Engine::new(Box::new(classifier), 1, 1, &policy);
    let error = probe::run(&mut engine, &bundle.manifest.probe, &policy).unwrap_err().to_string();
    assert!(error.contains("falld doctor"), "{error}");
}

#[test]
fn an_encoder_that_finds_nobody_in_the_probe_is_refused() {
    let (mut bundle, classifier) = load(1);
    bundle.manifest.probe.person.as_mut().unwrap().row[3 * body::KEYPOINTS + 4] = 9.0; // nobody is half as sure
    let policy = PolicyConfig::default();
    let mut engine = Engine::new(Box::new(classifier), 1, 1, &policy);
    let error = probe::run(&mut engine, &bundle.manifest.probe, &policy).unwrap_err().to_string();
    assert!(error.contains("the person drawn in the probe clip was not found"), "{error}");
}

/// The clip that both ways judge: the probe's, whose pictures all differ.
fn clip(classifier: &OrtClassifier) -> Vec<Frame> {
    let spec = classifier.spec();
    (0..spec.ticks as u64)
        .map(|tick| {
            let mut frame = Frame::new(spec.frame);
            probe::paint(&mut frame, spec.frame, tick);
            frame.tick = tick;
            frame
        })
        .collect()
}

#[test]
fn streaming_and_the_whole_clip_give_the_same_logits() {
    let ticks = Bundle::open(&shipped()).unwrap().spec.ticks;
    let (_, mut whole) = load(ticks);
    let spec = whole.spec().clone();
    assert!(spec.states.is_empty(), "a model with carried state has no whole-clip form in one batch");
    let clip = clip(&whole);

    // The whole clip: its 64 pictures are one batch.
    let picture = spec.frame.bytes();
    let mut encoding = Encoding::new(&spec, ticks);
    encoding.len = ticks;
    for (index, frame) in clip.iter().enumerate() {
        let previous = &clip[index.saturating_sub(1)];
        encoding.frames[index * picture..(index + 1) * picture].copy_from_slice(&frame.pixels);
        encoding.previous[index * picture..(index + 1) * picture].copy_from_slice(&previous.pixels);
    }
    whole.encode(&mut encoding).unwrap();
    let mut tracker = Tracker::new(&spec);
    for people in encoding.people.chunks(spec.people * spec.person_len) {
        tracker.observe(people, spec.frame.aspect());
    }
    let mut rows = Scoring::new(&spec, spec.people + 1);
    let masks = 2 * ticks;
    if spec.scene_row {
        rows.len = 1;
    }
    for place in (0..spec.people).filter(|place| tracker.is_followed(*place)) {
        let (index, ring) = (rows.len, tracker.ring_len());
        tracker.read(
            place,
            &mut rows.person[index * ring..(index + 1) * ring],
            &mut rows.mask[index * masks..(index + 1) * masks],
        );
        rows.len += 1;
    }
    for index in 0..rows.len {
        rows.scene[index * encoding.scene.len()..(index + 1) * encoding.scene.len()].copy_from_slice(&encoding.scene);
        rows.mask[index * masks..(index + 1) * masks].iter_mut().step_by(2).for_each(|exists| *exists = 1.0);
    }
    if rows.len > 0 {
        whole.score(&mut rows).unwrap();
    }

    // Streaming: one picture after the other.
    let (_, classifier) = load(1);
    let mut engine = Engine::new(Box::new(classifier), 1, 1, &PolicyConfig::default());
    for frame in clip {
        let now = frame.captured;
        engine.step(&mut vec![(0, frame)], &mut || now, &mut Vec::new(), &mut |_, _| {}).unwrap();
    }
    let streamed = engine.logits();
    assert_eq!(streamed.len(), rows.len * spec.classes.len());
    for (streamed, whole) in streamed.iter().zip(&rows.logits) {
        assert!((streamed - whole).abs() < 1e-3, "streamed {streamed}, whole {whole}");
    }
}

#[test]
fn a_picture_scores_the_same_alone_and_in_a_batch() {
    let (_, mut classifier) = load(3);
    let spec = classifier.spec().clone();
    let clip = clip(&classifier);
    let picture = spec.frame.bytes();
    let mut encode = |frames: &[&Frame]| {
        let mut encoding = Encoding::new(&spec, frames.len());
        encoding.len = frames.len();
        for (index, frame) in frames.iter().enumerate() {
            encoding.frames[index * picture..(index + 1) * picture].copy_from_slice(&frame.pixels);
            encoding.previous[index * picture..(index + 1) * picture].copy_from_slice(&frame.pixels);
        }
        classifier.encode(&mut encoding).unwrap();
        (encoding.people, encoding.scene)
    };
    let alone = encode(&[&clip[7]]);
    let together = encode(&[&clip[1], &clip[7], &clip[30]]);
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(close(&alone.0, &together.0[alone.0.len()..2 * alone.0.len()]));
    assert!(close(&alone.1, &together.1[alone.1.len()..2 * alone.1.len()]));
}

#[test]
fn a_changed_file_is_refused_by_its_hash() {
    let folder = copy();
    let path = folder.path().join("encoder.onnx");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let words = refusal(folder.path());
    assert!(words.contains("encoder.onnx") && words.contains("SHA-256") && words.contains("install"), "{words}");
}

#[test]
fn a_missing_bundle_names_the_key() {
    let words = refusal(Path::new("/nonexistent/bundle"));
    assert!(words.contains("model.path") && words.contains("/nonexistent/bundle"), "{words}");
}

#[test]
fn a_wrong_shape_names_the_tensor() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["head"]["inputs"][0]["shape"][1] = 63.into());
    let words = refusal(folder.path());
    assert!(words.contains("person") && words.contains("63"), "{words}");
}

#[test]
fn an_opset_from_the_future_is_refused() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["encoder"]["opset"] = 99.into());
    assert!(refusal(folder.path()).contains("opset is 99"));
}

#[test]
fn another_schema_is_refused() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["schema"] = 2.into());
    assert!(refusal(folder.path()).contains("schema is 2"));
}

#[test]
fn a_hold_that_spans_the_whole_clip_is_refused() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["clip"]["hold_ticks"] = manifest["clip"]["ticks"].clone());
    let text = refusal(folder.path());
    assert!(text.contains("clip.hold_ticks") && text.contains("64"), "{text}");
}

#[test]
fn impossible_thresholds_are_refused() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["policy"]["fall"]["enter"] = 1.5.into());
    assert!(refusal(folder.path()).contains("policy.fall"));
}

#[test]
fn the_shipped_bundle_looks_twice_before_it_calls() {
    let spec = Bundle::open(&shipped()).unwrap().spec;
    let least = spec.policy.fall.enter.min(spec.policy.climb.enter);
    assert!(spec.second_look.is_some_and(|look| look.from <= least && look.frames >= spec.policy.fall.n));
}

#[test]
fn a_second_look_that_alerts_would_not_wait_for_is_refused() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["second_look"] = serde_json::json!({"from": 0.9, "frames": 15}));
    let words = refusal(folder.path());
    assert!(words.contains("second_look.from is 0.9") && words.contains("0.85"), "{words}");
    edit(folder.path(), |manifest| {
        manifest["second_look"]["from"] = 0.4.into();
        manifest["people"]["keypoints"] = 16.into();
    });
    assert!(refusal(folder.path()).contains("second_look needs an encoder that tells COCO's 17 keypoints"));
}

#[test]
fn a_tensor_that_the_graph_lacks_is_refused() {
    let folder = copy();
    edit(folder.path(), |manifest| manifest["encoder"]["outputs"][0]["name"] = "persons".into());
    let bundle = Bundle::open(folder.path()).unwrap();
    let words = OrtClassifier::load(&bundle, &config(), 1).unwrap_err().to_string();
    assert!(words.contains("persons"), "{words}");
}

#[test]
fn a_required_gpu_that_is_absent_is_a_refusal_in_its_own_words() {
    let bundle = Bundle::open(&shipped()).unwrap();
    let config = ModelConfig { require: Some(Provider::Cuda), ..config() };
    match OrtClassifier::load(&bundle, &config, 1) {
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("model.require") && words.contains("cuda"), "{words}");
        }
        Ok(classifier) => assert_eq!(classifier.reports().active(), Provider::Cuda, "a machine with a GPU may serve"),
    }
}

#[test]
fn a_wish_that_fails_is_kept_and_shown() {
    let bundle = Bundle::open(&shipped()).unwrap();
    let config = ModelConfig { providers: vec![Provider::Cuda, Provider::Cpu], ..config() };
    let classifier = OrtClassifier::load(&bundle, &config, 1).unwrap();
    let reports = classifier.reports();
    for report in [&reports.encoder, &reports.head] {
        assert_eq!(report.answers[0].provider, Provider::Cuda, "each network asks for itself: {reports:?}");
    }
    if reports.active() == Provider::Cpu {
        assert!(reports.to_string().contains("cuda refused: "), "{reports}");
    }
}
