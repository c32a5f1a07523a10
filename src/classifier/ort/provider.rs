//! Execution providers: asked one by one, each answer kept, nothing silent.

use super::chain;
use crate::classifier::ClassifierError;
use crate::classifier::bundle::{Bundle, NetworkFacts, Side};
use crate::config::{ModelConfig, Provider};
use ort::ep::{CUDA, ExecutionProvider, TensorRT};
use ort::session::builder::SessionBuilder;
use std::fmt;

/// What a provider said when it was asked to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who was asked.
    pub provider: Provider,
    /// Nothing if it serves, else its own words.
    pub refusal: Option<String>,
}

/// Which provider serves a network, and what the wished ones answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The provider that runs the network.
    pub active: Provider,
    /// In the order of the wishes, up to the one that serves.
    pub answers: Vec<Answer>,
}

/// The answers for both networks: each is a session of its own, and a provider may take one and refuse the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// Of the encoder.
    pub encoder: Report,
    /// Of the head.
    pub head: Report,
}

impl Reports {
    /// The provider that runs the model; of two the one that was wished for less, which is what the model waits for.
    pub fn active(&self) -> Provider {
        let Self { encoder, head } = self;
        if head.rank() > encoder.rank() { head.active } else { encoder.active }
    }

    /// True if a provider that was wished for refused a network.
    pub fn refused(&self) -> bool {
        self.encoder.answers.iter().chain(&self.head.answers).any(|answer| answer.refusal.is_some())
    }
}

impl Report {
    /// The place of the serving provider among the wishes.
    fn rank(&self) -> Option<usize> {
        self.answers.iter().position(|answer| answer.provider == self.active)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tensorrt => "tensorrt",
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.active)?;
        for answer in &self.answers {
            if let Some(refusal) = &answer.refusal {
                write!(out, "; {} refused: {refusal}", answer.provider)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reports {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.encoder)?;
        if self.head == self.encoder { Ok(()) } else { write!(out, "; its head on {}", self.head) }
    }
}

/// The wished providers that were not asked before, in their order.
pub(super) fn wishes(config: &ModelConfig, asked: &[Answer]) -> Vec<Provider> {
    let wished = config.require.map_or_else(|| config.providers.clone(), |required| vec![required]);
    wished.into_iter().filter(|provider| asked.iter().all(|answer| answer.provider != *provider)).collect()
}

/// Registers the wished providers with `builder` until one serves; those `asked` before are not asked again, and their
/// answers stand first in the report.
///
/// TensorRT leaves single operators to the next provider, so CUDA is registered behind it when it is wished too. With
/// `model.require` set to a GPU provider, a single operator on the processor is a refusal by ONNX Runtime itself.
pub(super) fn register(
    builder: &mut SessionBuilder,
    bundle: &Bundle,
    network: &NetworkFacts,
    config: &ModelConfig,
    batch: usize,
    asked: &[Answer],
) -> Result<Report, ClassifierError> {
    let mut answers = asked.to_vec();
    let mut active = None;
    for provider in wishes(config, asked) {
        let registered = match provider {
            Provider::Tensorrt => tensorrt(bundle, network, config, batch).register(builder),
            Provider::Cuda => {
                CUDA::default().with_memory_limit((config.memory_budget_mb as usize) << 20).register(builder)
            }
            Provider::Cpu => Ok(()),
        };
        let refusal = registered.err().map(|error| chain(&error));
        let serves = refusal.is_none();
        answers.push(Answer { provider, refusal });
        if serves {
            active.get_or_insert(provider);
            if provider != Provider::Tensorrt {
                break;
            }
        }
    }
    match active {
        Some(active) => Ok(Report { active, answers }),
        None => {
            let words = answers
                .iter()
                .map(|answer| format!("{}: {}", answer.provider, answer.refusal.as_deref().unwrap_or("")))
                .collect::<Vec<_>>()
                .join("; ");
            let key = if config.require.is_some() { "model.require" } else { "model.providers" };
            Err(ClassifierError::Runtime(format!(
                "{key}: no execution provider serves ({words}). Mend the GPU runtime, or allow `cpu`."
            )))
        }
    }
}

fn tensorrt(bundle: &Bundle, network: &NetworkFacts, config: &ModelConfig, batch: usize) -> TensorRT {
    let cache = config.cache.display().to_string();
    let prefix = format!("{}-{}", network.file.trim_end_matches(".onnx"), &bundle.spec.sha256[..12]);
    let shapes = profile(network, batch);
    TensorRT::default()
        .with_int8(network.precision == "int8")
        .with_fp16(true)
        .with_max_workspace_size((config.memory_budget_mb as usize) << 20)
        .with_engine_cache(true)
        .with_engine_cache_path(&cache)
        .with_engine_cache_prefix(prefix)
        .with_timing_cache(true)
        .with_timing_cache_path(&cache)
        .with_profile_min_shapes(&shapes)
        .with_profile_opt_shapes(&shapes)
        .with_profile_max_shapes(&shapes)
}

/// TensorRT's text for one fixed shape of every input: `frame:2x192x256x3,previous:2x192x256x3`.
fn profile(network: &NetworkFacts, batch: usize) -> String {
    network
        .inputs
        .iter()
        .map(|tensor| {
            let sides = tensor.shape.iter().map(|side| match side {
                Side::Fixed(length) => length.to_string(),
                Side::Free(_) => batch.to_string(),
            });
            format!("{}:{}", tensor.name, sides.collect::<Vec<_>>().join("x"))
        })
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cuda: Option<&str>) -> Report {
        let mut answers = vec![Answer { provider: Provider::Cuda, refusal: cuda.map(str::to_owned) }];
        answers.extend(cuda.map(|_| Answer { provider: Provider::Cpu, refusal: None }));
        Report { active: if cuda.is_none() { Provider::Cuda } else { Provider::Cpu }, answers }
    }

    #[test]
    fn a_gpu_that_refuses_the_head_alone_is_not_said_to_run_the_model() {
        let reports = Reports { encoder: report(None), head: report(Some("out of memory")) };
        assert_eq!((reports.active(), reports.refused()), (Provider::Cpu, true));
        assert_eq!(reports.to_string(), "cuda; its head on cpu; cuda refused: out of memory");
    }

    #[test]
    fn a_gpu_that_gives_no_session_hands_on_to_the_next_wish_and_one_that_is_required_to_nobody() {
        let wished = [Provider::Tensorrt, Provider::Cuda, Provider::Cpu];
        let config = ModelConfig { providers: wished.into(), require: None, ..ModelConfig::default() };
        let failed = |provider| Answer { provider, refusal: Some("out of memory".into()) };
        assert_eq!(wishes(&config, &[]), wished);
        assert_eq!(wishes(&config, &[failed(Provider::Tensorrt)]), wished[1..]);
        let required = ModelConfig { require: Some(Provider::Cuda), ..config };
        assert_eq!(wishes(&required, &[]), [Provider::Cuda]);
        assert_eq!(wishes(&required, &[failed(Provider::Cuda)]), []);
    }

    #[test]
    fn what_is_true_of_both_networks_is_said_once() {
        let served = Reports { encoder: report(None), head: report(None) };
        assert_eq!((served.active(), served.refused()), (Provider::Cuda, false));
        assert_eq!(served.to_string(), "cuda");
        let refused = Reports { encoder: report(Some("no device")), head: report(Some("no device")) };
        assert_eq!((refused.active(), refused.refused()), (Provider::Cpu, true));
        assert_eq!(refused.to_string(), "cpu; cuda refused: no device");
    }
}
