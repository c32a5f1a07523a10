//! One ONNX network with its tensors, made once for each batch size and reused.
//!
//! `Session::run` of the binding allocates a handful of small objects on every call. A [`Plan`] keeps names and values
//! in the arrays that the C function wants, so a running network leaves Rust's heap alone.

use super::chain;
use super::provider::{self, Answer, Report};
use crate::classifier::ClassifierError;
use crate::classifier::bundle::{Bundle, NetworkFacts, Side, TensorFacts};
use crate::config::{ModelConfig, Provider};
use ort::AsPointer;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::Tensor;
use std::ffi::CString;
use std::path::Path;
use std::ptr;

/// A tensor of one of the two types that networks here speak.
#[derive(Debug)]
enum Buffer {
    U8(Tensor<u8>),
    F32(Tensor<f32>),
}

impl Buffer {
    fn new(tensor: &TensorFacts, batch: usize) -> ort::Result<Self> {
        let shape = tensor
            .shape
            .iter()
            .map(|side| match side {
                Side::Fixed(length) => *length,
                Side::Free(_) => batch,
            })
            .collect::<Vec<_>>();
        let length = shape.iter().product();
        Ok(match tensor.dtype.as_str() {
            "u8" => Self::U8(Tensor::from_array((shape, vec![0u8; length]))?),
            _ => Self::F32(Tensor::from_array((shape, vec![0f32; length]))?),
        })
    }

    fn pointer(&self) -> *const ort::sys::OrtValue {
        match self {
            Self::U8(tensor) => tensor.ptr(),
            Self::F32(tensor) => tensor.ptr(),
        }
    }
}

/// A loaded network.
#[derive(Debug)]
pub(super) struct Network {
    session: Session,
    facts: NetworkFacts,
    names: Vec<CString>,
    fixed: Option<usize>,
    plans: Vec<Option<Plan>>,
}

/// The tensors for one batch size.
#[derive(Debug)]
struct Plan {
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
}

/// Most tensors on one side of a network: frame, previous and a few states.
const MAX_TENSORS: usize = 32;

/// True for x86 processors without VNNI: ONNX Runtime adds products of u8 and s8 in 16 bits there, which overflow, and the network
/// says something else. Precise products are of u8 and u8, slower and right; asked for everywhere, they may be taken on
/// processors with VNNI too, whose fast ones are right.
#[cfg(target_arch = "x86_64")]
fn sums_overflow() -> bool {
    !std::arch::is_x86_feature_detected!("avx512vnni") && !std::arch::is_x86_feature_detected!("avxvnni")
}

/// No other processor has the trouble.
#[cfg(not(target_arch = "x86_64"))]
const fn sums_overflow() -> bool {
    false
}

impl Network {
    /// Loads one network of `bundle` for batches of up to `capacity`.
    pub(super) fn load(
        environment: &Environment,
        bundle: &Bundle,
        facts: &NetworkFacts,
        config: &ModelConfig,
        capacity: usize,
    ) -> Result<(Self, Report), ClassifierError> {
        let path = bundle.folder.join(&facts.file);
        let refuse = |error: &dyn std::error::Error| {
            ClassifierError::Bundle(format!(
                "cannot load {}: {}. Install the bundle again.",
                path.display(),
                chain(error)
            ))
        };
        let (mut asked, mut failed) = (Vec::new(), None);
        let (session, report) = loop {
            let mut builder = Session::builder(environment)
                .map_err(|error| refuse(&error))?
                .with_optimization_level(GraphOptimizationLevel::All)
                .map_err(|error| refuse(&error))?
                .with_intra_threads(config.threads)
                .map_err(|error| refuse(&error))?
                .with_inter_threads(1)
                .map_err(|error| refuse(&error))?
                // A spinning thread takes the core that decodes the next picture.
                .with_intra_op_spinning(false)
                .map_err(|error| refuse(&error))?
                // A plan of all activations in one block; without it they share a smaller one, at the same speed: 18 MB.
                .with_memory_pattern(false)
                .map_err(|error| refuse(&error))?;
            if sums_overflow() {
                builder = builder.with_precise_qmm().map_err(|error| refuse(&error))?;
            }
            if config.require.is_some_and(|required| required != Provider::Cpu) {
                builder = builder.with_disable_cpu_fallback().map_err(|error| refuse(&error))?;
            }
            let report = match provider::register(&mut builder, bundle, facts, config, capacity, &asked) {
                Ok(report) => report,
                // What comes after the one that serves does not: that one is what may serve at the next start.
                Err(error) => return Err(failed.unwrap_or(error)),
            };
            match builder.commit_from_file(&path) {
                Ok(session) => break (session, report),
                Err(error) => {
                    let refusal = chain(&error);
                    let error = not_taken(report.active, &path, &refusal);
                    asked.push(Answer { provider: report.active, refusal: Some(refusal) });
                    // What the processor cannot load is no GPU's fault.
                    if report.active == Provider::Cpu || provider::wishes(config, &asked).is_empty() {
                        return Err(error);
                    }
                    failed = Some(error);
                }
            }
        };
        agree(&session, facts).map_err(|text| ClassifierError::Bundle(format!("{}: {text}", path.display())))?;
        let mut names = Vec::new();
        for tensor in facts.inputs.iter().chain(&facts.outputs) {
            names.push(CString::new(tensor.name.as_str()).map_err(|error| refuse(&error))?);
        }
        // TensorRT builds an engine for each shape: keep to one, and pad smaller batches.
        let fixed = (report.active == Provider::Tensorrt).then_some(capacity);
        let plans = (0..=capacity).map(|_| None).collect();
        Ok((Self { session, facts: facts.clone(), names, fixed, plans }, report))
    }

    /// The tensors for `len` pictures or rows, made on first use.
    pub(super) fn prepare(&mut self, len: usize) -> Result<Run<'_>, ClassifierError> {
        let batch = self.fixed.unwrap_or(len);
        let slot = self.plans.get_mut(batch).ok_or_else(|| {
            ClassifierError::Inference(format!("a batch of {len} is larger than the network was loaded for"))
        })?;
        if slot.is_none() {
            let make = |tensors: &[TensorFacts]| {
                tensors.iter().map(|tensor| Buffer::new(tensor, batch)).collect::<ort::Result<Vec<_>>>()
            };
            let failed = |error: ort::Error| ClassifierError::Inference(chain(&error));
            let inputs = make(&self.facts.inputs).map_err(failed)?;
            let outputs = make(&self.facts.outputs).map_err(failed)?;
            *slot = Some(Plan { inputs, outputs });
        }
        match slot {
            Some(plan) => Ok(Run { session: &self.session, facts: &self.facts, names: &self.names, plan, len }),
            None => Err(ClassifierError::Inference("no tensors for this batch".into())),
        }
    }
}

/// Why the last provider that was wished for gave no session. The file's hash was right, so on a GPU it is the GPU: its memory may be
/// short for the moment, as when another program starts beside falld, and ONNX Runtime has no code for that.
fn not_taken(provider: Provider, path: &Path, reason: &str) -> ClassifierError {
    let what = format!("cannot load {} on {provider}: {reason}", path.display());
    match provider {
        Provider::Cpu => ClassifierError::Bundle(format!("{what}. Install the bundle again.")),
        Provider::Tensorrt | Provider::Cuda => ClassifierError::Provider(format!(
            "{what}. If the GPU's memory was short the next start may succeed; if this stays, mend the GPU runtime or \
             choose another provider (model.providers, model.require)."
        )),
    }
}

/// The manifest's tensors must be the graph's tensors, by name.
fn agree(session: &Session, facts: &NetworkFacts) -> Result<(), String> {
    for (kind, outlets, tensors) in
        [("input", session.inputs(), &facts.inputs), ("output", session.outputs(), &facts.outputs)]
    {
        let graph = outlets.iter().map(|outlet| outlet.name()).collect::<Vec<_>>();
        let missing = tensors.iter().find(|tensor| !graph.contains(&tensor.name.as_str()));
        if let Some(tensor) = missing {
            return Err(format!(
                "the manifest promises an {kind} `{}`, but the graph has {graph:?}. Install the bundle again.",
                tensor.name
            ));
        }
        if kind == "input" && graph.len() != tensors.len() {
            return Err(format!(
                "the graph wants the inputs {graph:?}, but the manifest names {}. Install the bundle again.",
                tensors.len()
            ));
        }
        if tensors.len() > MAX_TENSORS {
            return Err(format!("{} {kind}s are more than the {MAX_TENSORS} that falld can feed", tensors.len()));
        }
    }
    Ok(())
}

/// One inference in preparation.
pub(super) struct Run<'a> {
    session: &'a Session,
    facts: &'a NetworkFacts,
    names: &'a [CString],
    plan: &'a mut Plan,
    len: usize,
}

fn position(tensors: &[TensorFacts], role: &str, nth: usize) -> Option<usize> {
    tensors.iter().enumerate().filter(|(_, tensor)| tensor.role == role).map(|(index, _)| index).nth(nth)
}

fn mismatch(role: &str) -> ClassifierError {
    ClassifierError::Inference(format!("tensor with the role `{role}` has another type or size than falld prepared"))
}

impl Run<'_> {
    fn input_f32(&mut self, role: &str, nth: usize) -> Result<&mut [f32], ClassifierError> {
        let index = position(&self.facts.inputs, role, nth);
        match index.and_then(|index| self.plan.inputs.get_mut(index)) {
            Some(Buffer::F32(tensor)) => Ok(tensor.extract_tensor_mut().1),
            _ => Err(mismatch(role)),
        }
    }

    fn output(&self, role: &str, nth: usize) -> Result<&[f32], ClassifierError> {
        let index = position(&self.facts.outputs, role, nth);
        match index.and_then(|index| self.plan.outputs.get(index)) {
            Some(Buffer::F32(tensor)) => Ok(tensor.extract_tensor().1),
            _ => Err(mismatch(role)),
        }
    }

    /// Fills an input that the network may or may not have (`previous` is optional).
    pub(super) fn write_u8(&mut self, role: &str, from: &[u8]) -> Result<(), ClassifierError> {
        let Some(index) = position(&self.facts.inputs, role, 0) else { return Ok(()) };
        let row = self.facts.inputs[index].row_len().ok_or_else(|| mismatch(role))?;
        let length = self.len * row;
        match self.plan.inputs.get_mut(index) {
            Some(Buffer::U8(tensor)) => {
                let to = tensor.extract_tensor_mut().1;
                to[..length].copy_from_slice(from.get(..length).ok_or_else(|| mismatch(role))?);
                Ok(())
            }
            _ => Err(mismatch(role)),
        }
    }

    /// Fills an input whose rows lie one behind the other in `from`.
    pub(super) fn write_f32(&mut self, role: &str, from: &[f32]) -> Result<(), ClassifierError> {
        let index = position(&self.facts.inputs, role, 0).ok_or_else(|| mismatch(role))?;
        let row = self.facts.inputs[index].row_len().ok_or_else(|| mismatch(role))?;
        let length = self.len * row;
        let from = from.get(..length).ok_or_else(|| mismatch(role))?;
        self.input_f32(role, 0)?[..length].copy_from_slice(from);
        Ok(())
    }

    /// Fills the `nth` state: its part of each camera's state, which lies at `offset` of every `stride` numbers.
    pub(super) fn write_state(
        &mut self,
        nth: usize,
        length: usize,
        stride: usize,
        offset: usize,
        from: &[f32],
    ) -> Result<(), ClassifierError> {
        let len = self.len;
        let to = self.input_f32("state", nth)?;
        for (to, from) in to.chunks_exact_mut(length).zip(from.chunks_exact(stride)).take(len) {
            to.copy_from_slice(&from[offset..offset + length]);
        }
        Ok(())
    }

    /// The reverse of [`write_state`](Self::write_state), from the output that feeds the `nth` state input.
    pub(super) fn read_state(
        &self,
        nth: usize,
        length: usize,
        stride: usize,
        offset: usize,
        to: &mut [f32],
    ) -> Result<(), ClassifierError> {
        let input = position(&self.facts.inputs, "state", nth).ok_or_else(|| mismatch("state"))?;
        let name = self.facts.inputs[input].from.as_deref();
        let index = self.facts.outputs.iter().position(|tensor| Some(tensor.name.as_str()) == name);
        let Some(Buffer::F32(tensor)) = index.and_then(|index| self.plan.outputs.get(index)) else {
            return Err(mismatch("state"));
        };
        let from = tensor.extract_tensor().1;
        for (to, from) in to.chunks_exact_mut(stride).zip(from.chunks_exact(length)).take(self.len) {
            to[offset..offset + length].copy_from_slice(from);
        }
        Ok(())
    }

    /// Copies the first `len` rows of an output.
    pub(super) fn read(&self, role: &str, to: &mut [f32]) -> Result<(), ClassifierError> {
        let index = position(&self.facts.outputs, role, 0).ok_or_else(|| mismatch(role))?;
        let length = self.len * self.facts.outputs[index].row_len().ok_or_else(|| mismatch(role))?;
        let from = &self.output(role, 0)?[..length];
        to.get_mut(..length).ok_or_else(|| mismatch(role))?.copy_from_slice(from);
        Ok(())
    }

    /// Runs the network on what was written.
    #[expect(unsafe_code, reason = "the binding's own `run` allocates on every call; this is its one C call")]
    pub(super) fn run(&mut self) -> Result<(), ClassifierError> {
        let mut names = [ptr::null(); 2 * MAX_TENSORS];
        for (name, text) in names.iter_mut().zip(self.names) {
            *name = text.as_ptr();
        }
        let mut inputs = [ptr::null(); MAX_TENSORS];
        for (pointer, buffer) in inputs.iter_mut().zip(&self.plan.inputs) {
            *pointer = buffer.pointer();
        }
        let mut outputs = [ptr::null_mut(); MAX_TENSORS];
        for (pointer, buffer) in outputs.iter_mut().zip(&self.plan.outputs) {
            *pointer = buffer.pointer().cast_mut();
        }
        let (input_names, output_names) = names.split_at(self.plan.inputs.len());
        // SAFETY: the session and every value live in `self` for the whole call; names and values have the counts
        // given, in the manifest's order, and `agree` has shown that the graph has tensors of these names. Outputs are
        // owned by the plan, which is borrowed mutably, so nobody else reads them while the network writes.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                self.plan.inputs.len(),
                output_names.as_ptr(),
                self.plan.outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: `status` comes from the call above and is released by this conversion alone.
        unsafe { ort::Error::result_from_status(status) }.map_err(|error| ClassifierError::Inference(chain(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_room_may_have_some_at_the_next_start_and_a_broken_file_has_none() {
        let path = Path::new("/model/head.onnx");
        let short = not_taken(Provider::Cuda, path, "CUDA failure 2: out of memory");
        let words = short.to_string();
        assert!(short.may_pass(), "systemd starts falld again: {words}");
        assert!(
            words.contains("/model/head.onnx on cuda: CUDA failure 2") && words.contains("model.providers"),
            "{words}"
        );
        let broken = not_taken(Provider::Cpu, path, "invalid graph");
        assert!(!broken.may_pass() && broken.to_string().contains("Install the bundle again"), "{broken}");
    }
}
