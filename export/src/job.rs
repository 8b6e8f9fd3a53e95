//! One run of the exporter: from a trained team to bytes and reports, nothing written.

use ddn_trainer::env::Env;

use crate::agree::{Agreement, agree};
use crate::error::ExportError;
use crate::exporter::{self, Exporter};
use crate::frozen::Frozen;
use crate::publish::Output;
use crate::quantize::Quantized;
use crate::record::{self, Recording};
use crate::replay;
use crate::safetensors::{self, Safetensors};
use crate::verify::{self, REFERENCE, Report, Runtime, compare};

/// A trained team, as far as the exporter needs it.
pub trait Trained {
    /// The network that ships, without known answers.
    ///
    /// # Errors
    /// If it cannot be frozen.
    fn freeze(&self) -> Result<Frozen, ExportError>;

    /// Greedy episodes of the trained network. The first episodes of a longer recording are
    /// those of a shorter one.
    ///
    /// # Errors
    /// If the environment or the network fails.
    fn record(&self, episodes: usize) -> Result<Vec<Recording>, ExportError>;

    /// The environment it was trained in.
    ///
    /// # Errors
    /// If it cannot be built any more.
    fn env(&self) -> Result<Box<dyn Env>, ExportError>;
}

/// Episodes that show the range of every observed number, whatever else is recorded.
pub const CALIBRATION: usize = 16;
/// Most episodes that a policy is rounded on.
const ROUNDING: usize = 256;
/// Agent steps after which there are enough of them.
const ROUNDING_STEPS: usize = 24_000;
/// Below this share of numbers that are not zero, it pays to look for zeros.
const SPARSE: f64 = 0.5;
/// Seed of the episodes that two engines are compared on.
const SEED: u64 = 0;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Names of the formats to write.
    pub formats: Vec<String>,
    /// Names of the engines to hold to the trained network, over `episodes`; none, no check.
    pub engines: Vec<String>,
    /// Episodes of the check.
    pub episodes: usize,
    /// Agent episodes to write for a replay on a device; 0 writes none.
    pub record: usize,
    /// Whether to round to integers as well, and how to compare.
    pub quantize: Option<Quantize>,
}

/// How a rounded policy is held to the one in floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantize {
    /// Agent steps to compare, at least.
    pub steps: usize,
    /// Episodes that each plays.
    pub episodes: usize,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The files, not yet written.
    pub outputs: Vec<Output>,
    /// One report per engine that was asked for.
    pub reports: Vec<Report>,
    /// How the rounded policy compares with the one in floats.
    pub agreement: Option<Agreement>,
}

/// Freezes, lets the embedded runtime give the known answers, encodes, and replays
/// `job.episodes` recorded episodes through every engine.
///
/// # Errors
/// If anything cannot be frozen, recorded, encoded or run. A disagreement is no error here; it
/// is in the reports, and [`crate::publish::publish`] refuses them.
pub fn run(job: &Job, trained: &dyn Trained) -> Result<Outcome, ExportError> {
    let exporters: Vec<&dyn Exporter> =
        job.formats.iter().map(|name| exporter::by_name(name)).collect::<Result<_, _>>()?;
    if !job.engines.is_empty() && job.engines.iter().all(|name| name == REFERENCE) {
        let reason = format!("{REFERENCE} is the reference, and there is nothing to hold to it");
        return Err(ExportError::Usage(reason));
    }
    let mut frozen = trained.freeze()?;
    let engines = job.engines.iter().filter(|name| *name != REFERENCE);
    let mut engines = engines.map(|name| verify::load(name, &frozen)).collect::<Result<Vec<_>, _>>()?;
    let checked = if job.engines.is_empty() { 0 } else { job.episodes };
    let recorded = checked.max(job.record.div_ceil(frozen.spec.n_agents)).max(CALIBRATION);
    tracing::info!("playing {recorded} episodes of the trained team");
    let recordings = trained.record(recorded)?;
    let first = recordings.first().ok_or_else(|| ExportError::Recording {
        episode: 0,
        reason: "was asked for and did not come".into(),
    })?;

    frozen.sparse = record::density(&frozen.spec, first) < SPARSE;
    frozen.obs_range = Some(record::obs_range(&frozen.spec, calibration(&recordings)));
    let mut runtime = Runtime::load(&frozen.spec, Safetensors.encode(&frozen)?)?;
    frozen.known_answers = Some(replay::self_test(&mut runtime, &frozen.spec, first)?);
    // The finished file must pass its own test before anyone else is asked.
    let mut runtime = Runtime::load(&frozen.spec, Safetensors.encode(&frozen)?)?;
    let mut outputs = Vec::new();
    for exporter in exporters {
        let bytes = exporter.encode(&frozen)?;
        outputs.push(Output { file_name: exporter.file_name(), bytes });
    }
    if job.record > 0 {
        let answers = replay::agent_episodes(&mut runtime, &frozen.spec, &recordings, job.record)?;
        let bytes = safetensors::episodes(&frozen, &answers)?;
        outputs.push(Output { file_name: safetensors::EPISODES, bytes });
    }
    let mut agreement = None;
    if let Some(quantize) = &job.quantize {
        let (mut rounded, files) = round(job, &frozen, (trained, &recordings))?;
        outputs.extend(files);
        let &Quantize { steps, episodes } = quantize;
        tracing::info!("comparing both policies: {steps} agent steps, then {episodes} episodes of each");
        let sizes = (SEED, episodes, steps);
        agreement = Some(agree(trained.env()?.as_mut(), [&mut runtime, &mut rounded], sizes)?);
    }

    let recordings = &recordings[..checked.min(recordings.len())];
    if !engines.is_empty() {
        tracing::info!("replaying {checked} episodes in {}", job.engines.join(", "));
    }
    let reports = engines
        .iter_mut()
        .map(|engine| compare(engine.as_mut(), &frozen.spec, recordings))
        .collect::<Result<_, _>>()?;
    Ok(Outcome { outputs, reports, agreement })
}

/// The first [`CALIBRATION`] recordings.
fn calibration(recordings: &[Recording]) -> &[Recording] {
    &recordings[..CALIBRATION.min(recordings.len())]
}

/// How many episodes a policy is rounded on, if those to come are as long as these.
fn rounding_episodes(recordings: &[Recording], n_agents: usize) -> usize {
    let steps: usize = recordings.iter().map(|recording| recording.n_steps * n_agents).sum();
    (ROUNDING_STEPS * recordings.len()).div_ceil(steps.max(1)).clamp(1, ROUNDING)
}

/// The policy in integers, its files, and the engine that runs it.
fn round(
    job: &Job,
    frozen: &Frozen,
    (trained, recordings): (&dyn Trained, &[Recording]),
) -> Result<(Runtime, Vec<Output>), ExportError> {
    let wanted = rounding_episodes(calibration(recordings), frozen.spec.n_agents);
    tracing::info!("rounding to integers, by what happens in {wanted} episodes");
    let mut quantized = if wanted > recordings.len() {
        Quantized::int8(frozen, &trained.record(wanted)?)?
    } else {
        Quantized::int8(frozen, &recordings[..wanted])?
    };
    let mut runtime = Runtime::load(&frozen.spec, quantized.encode()?)?;
    quantized.known_answers =
        recordings.first().map(|first| replay::self_test(&mut runtime, &frozen.spec, first)).transpose()?;
    let bytes = quantized.encode()?;
    let mut runtime = Runtime::load(&frozen.spec, bytes.clone())?;
    let mut outputs = vec![Output { file_name: safetensors::INT8, bytes }];
    if job.record > 0 {
        let answers = replay::agent_episodes(&mut runtime, &frozen.spec, recordings, job.record)?;
        let bytes = safetensors::episodes(frozen, &answers)?;
        outputs.push(Output { file_name: safetensors::INT8_EPISODES, bytes });
    }
    Ok((runtime, outputs))
}
