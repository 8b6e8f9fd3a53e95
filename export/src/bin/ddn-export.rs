//! `ddn-export RUN --to safetensors,onnx --verify`: a trained team becomes files that ship.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

use ddn_export::agree::Agreement;
use ddn_export::earn::{Earned, earn};
use ddn_export::error::ExportError;
use ddn_export::inspect;
use ddn_export::job::{self, Job, Quantize};
use ddn_export::publish::{Output, publish};
use ddn_export::report::{board, sizes, table};
use ddn_export::safetensors::{EPISODES, INT8, INT8_EPISODES};
use ddn_export::shipped;
use ddn_export::source::Source;
use ddn_export::verify::{self, refuse};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::train::build_envs;

/// Freezes the local policy network of a trained team and writes it for other programs.
///
/// What takes time is said on standard error; `DDN_LOG=warn` silences that.
///
/// Exit codes: 0 done, 1 an engine disagrees (nothing is written), 2 usage, 3 an environment failed,
/// 5 input or output, 6 corrupt input.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    export: Export,
}

#[derive(Subcommand)]
enum Command {
    /// Print what is in an exported file: contract, graph, tensors, known answers.
    Inspect {
        /// A model file or an ONNX file.
        file: PathBuf,
    },
    /// Play an exported file in the environment of an experiment, and print what it earns.
    Eval(Eval),
    /// Export in floats and in integers, and write what either costs on a device: `report.json`, `report.txt`.
    Report(Report),
}

#[derive(Args)]
struct Eval {
    /// A model file, in floats or in integers.
    #[arg(value_name = "POLICY.safetensors")]
    policy: PathBuf,
    /// The experiment that it was trained by: the run's folder, or its `config.toml`.
    config: PathBuf,
    /// Episodes to play; the first ones of the run's final test [default: `eval.final_episodes` of the experiment].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    episodes: Option<u32>,
    /// Other episodes than those of the run [default: `seed` of the experiment].
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Changes one key of the experiment.
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Report {
    /// A run's folder (its newest valid checkpoint) or one checkpoint.
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    input: PathBuf,
    /// Folder for the files [default: `export` in the run's folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Episodes over which returns are compared.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Agent steps over which actions are compared.
    #[arg(long, value_name = "STEPS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    agreement_steps: u32,
    /// Agent episodes to replay on the boards.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    record: u32,
    /// The folder `examples/firmware` of the sources: count instructions on emulated boards.
    #[arg(long, value_name = "DIR", requires = "boards")]
    firmware: Option<PathBuf>,
    /// Boards to count on, by the names in `examples/firmware/boards`.
    #[arg(long, value_delimiter = ',', requires = "firmware")]
    boards: Vec<String>,
}

#[derive(Args)]
struct Export {
    /// A run's folder (its newest valid checkpoint) or one checkpoint.
    #[arg(value_name = "RUN_OR_CHECKPOINT", required = true)]
    input: Option<PathBuf>,
    /// Formats to write.
    #[arg(long, value_delimiter = ',', default_value = "safetensors,onnx")]
    to: Vec<String>,
    /// Folder for the files [default: `export` in the run's folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replay recorded episodes through every engine first; write nothing if one disagrees.
    #[arg(long)]
    verify: bool,
    /// Episodes to replay, and to compare the returns of a rounded policy over.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Write the policy in integers as well: `policy_int8.safetensors`.
    #[arg(long, value_name = "FORMAT", value_parser = ddn_export::quantize::FORMATS.to_vec())]
    quantize: Option<String>,
    /// Agent steps over which the rounded policy is compared with the one in floats.
    #[arg(long, value_name = "STEPS", default_value_t = 20_000, requires = "quantize",
        value_parser = clap::value_parser!(u32).range(1..))]
    agreement_steps: u32,
    /// Share of equal actions, from 0 to 1, below which nothing is written.
    #[arg(long, value_name = "SHARE", default_value_t = 0.995, requires = "quantize", value_parser = share)]
    min_agreement: f64,
    /// Engines to hold to the trained network, which is `candle`.
    #[arg(
        long,
        value_delimiter = ',',
        requires = "verify",
        default_value = "candle,runtime,onnxruntime,tract"
    )]
    engines: Vec<String>,
    /// Write N recorded agent episodes as well, for a replay on a device.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    record: u32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("DDN_LOG")
        .unwrap_or_else(|_| "warn,ddn_export=info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.without_time().with_level(false).with_target(false).init();
    let done = match cli.command {
        Some(Command::Inspect { file }) => print_file(&file),
        Some(Command::Eval(args)) => eval(&args),
        Some(Command::Report(args)) => report(&args),
        None => export(&cli.export),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "ddn-export: {error:#}");
    ExitCode::from(error.downcast_ref::<ExportError>().map_or(5, ExportError::exit_code))
}

fn print_file(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let text = inspect::describe(&bytes)?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn export(args: &Export) -> Result<()> {
    let input = args.input.as_deref().context("RUN_OR_CHECKPOINT is missing")?;
    let job = Job {
        formats: args.to.clone(),
        engines: if args.verify { args.engines.clone() } else { Vec::new() },
        episodes: usize::try_from(args.episodes)?,
        record: usize::try_from(args.record)?,
        quantize: match args.quantize {
            Some(_) => Some(Quantize {
                steps: usize::try_from(args.agreement_steps)?,
                episodes: usize::try_from(args.episodes)?,
            }),
            None => None,
        },
    };
    let source = Source::open(input)?;
    let outcome = job::run(&job, &source)?;
    let mut out = std::io::stdout().lock();
    if !args.json {
        print_reports(&mut out, &outcome.reports)?;
        if let Some(agreement) = &outcome.agreement {
            print_agreement(&mut out, agreement)?;
        }
    }
    let dir = args.out.clone().unwrap_or_else(|| source.default_out());
    let agreed = outcome.agreement.as_ref().map_or(Ok(()), |agreement| agreement.refuse(args.min_agreement));
    let written = agreed.and_then(|()| publish(&dir, &outcome.outputs, &outcome.reports));
    let paths = written.as_deref().unwrap_or_default();
    if args.json {
        let files: Vec<_> = paths
            .iter()
            .zip(&outcome.outputs)
            .map(|(path, o)| serde_json::json!({ "path": path, "bytes": o.bytes.len() }))
            .collect();
        let passed = refuse(&outcome.reports).is_ok();
        let report = serde_json::json!({
            "verified": args.verify && passed, "engines": outcome.reports, "files": files,
            "agreement": outcome.agreement,
        });
        writeln!(out, "{report}")?;
    } else {
        for (path, output) in paths.iter().zip(&outcome.outputs) {
            writeln!(out, "wrote {} ({} bytes)", path.display(), output.bytes.len())?;
        }
    }
    written?;
    Ok(())
}

fn eval(args: &Eval) -> Result<()> {
    let name = || args.policy.display().to_string();
    let file = std::fs::read(&args.policy).with_context(name)?;
    let experiment = if args.config.is_dir() { args.config.join("config.toml") } else { args.config.clone() };
    let config = ExperimentConfig::load(&experiment, &args.set)
        .map_err(|error| ExportError::Usage(error.to_string()))?;
    let mut env =
        build_envs(&config, 1).map_err(ExportError::building)?.pop().context("no environment was built")?;
    let mut policy = shipped::open(file, env.spec()).with_context(name)?;
    let episodes = args.episodes.map_or(Ok(config.eval.final_episodes), usize::try_from)?;
    let earned = earn(&mut *env, &mut policy, (args.seed.unwrap_or(config.seed), episodes))?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&earned)?)?;
    } else {
        writeln!(out, "{}", described(&earned))?;
    }
    Ok(())
}

fn described(earned: &Earned) -> String {
    let won = earned.won.map_or(String::new(), |won| format!(", won {:.1} %", 100.0 * won));
    let Earned { mean, interval, episodes, .. } = earned;
    format!("return {mean:.3} +- {interval:.3} over {episodes} episodes{won}")
}

fn report(args: &Report) -> Result<()> {
    let job = Job {
        formats: vec!["safetensors".into()],
        engines: Vec::new(),
        episodes: 1,
        record: usize::try_from(args.record)?,
        quantize: Some(Quantize {
            steps: usize::try_from(args.agreement_steps)?,
            episodes: usize::try_from(args.episodes)?,
        }),
    };
    let source = Source::open(&args.input)?;
    let outcome = job::run(&job, &source)?;
    let dir = args.out.clone().unwrap_or_else(|| source.default_out());
    publish(&dir, &outcome.outputs, &outcome.reports)?;
    let (mut costs, mut failed) = (Vec::new(), None);
    for (policy, episodes) in [("policy.safetensors", EPISODES), (INT8, INT8_EPISODES)] {
        let Some(output) = outcome.outputs.iter().find(|output| output.file_name == policy) else { continue };
        let mut cost = sizes(output)?;
        for name in &args.boards {
            let firmware = args.firmware.as_deref().context("--firmware is missing")?;
            // What the others say is worth having, too.
            match board(firmware, name, &dir.join(policy), &dir.join(episodes)) {
                Ok(counted) => cost.boards.push(counted),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        costs.push(cost);
    }
    let mut text = table(&costs).into_bytes();
    if let Some(agreement) = &outcome.agreement {
        writeln!(text)?;
        print_agreement(&mut text, agreement)?;
    }
    let json = serde_json::json!({ "policies": costs, "agreement": outcome.agreement });
    let json = serde_json::to_vec_pretty(&json)?;
    std::io::stdout().write_all(&text)?;
    let files =
        [Output { file_name: "report.json", bytes: json }, Output { file_name: "report.txt", bytes: text }];
    for path in publish(&dir, &files, &[])? {
        writeln!(std::io::stdout(), "wrote {}", path.display())?;
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("not between 0 and 1".into()) }
}

fn print_agreement(out: &mut impl std::io::Write, agreement: &Agreement) -> Result<()> {
    let Agreement { steps, equal, largest_difference, first, second } = agreement;
    let share = 100.0 * agreement.share();
    writeln!(
        out,
        "int8 takes the same action in {share:.4} % ({equal} of {steps} agent steps with a choice); largest |dQ| \
         {largest_difference:.3e}"
    )?;
    for (name, earned) in [("f32", first), ("int8", second)] {
        writeln!(out, "{name:<5} {}", described(earned))?;
    }
    Ok(())
}

fn print_reports(out: &mut impl std::io::Write, reports: &[verify::Report]) -> Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<12} {:>9} {:>13} {:>14} {:>10} {:>10}",
        "engine", "steps", "largest |dQ|", "equal actions", "near ties", "mismatches"
    )?;
    for r in reports {
        writeln!(
            out,
            "{:<12} {:>9} {:>13.3e} {:>13.4}% {:>10} {:>10}",
            r.engine,
            r.steps,
            r.largest_difference,
            100.0 * r.share_equal(),
            r.near_ties,
            r.mismatches
        )?;
    }
    for (r, first) in reports.iter().filter_map(|r| r.first_mismatch.as_ref().map(|f| (r, f))) {
        writeln!(
            out,
            "{}: first mismatch in episode {}, step {}, agent {}: |dQ| {:.3e} (allowed {:.1e}), action {} instead of {}",
            r.engine,
            first.episode,
            first.step,
            first.agent,
            first.difference,
            first.tolerance,
            first.got,
            first.want
        )?;
    }
    Ok(())
}
