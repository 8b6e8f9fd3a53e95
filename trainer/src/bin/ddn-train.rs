//! `ddn-train`: arguments in, exit code out.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ddn_trainer::commands::{bench, evaluate, list, report, sweep, train};
use ddn_trainer::error::{CheckpointError, LearnError, RankError, TrainError};
use ddn_trainer::ranks::Link;
use ddn_trainer::signal::Stop;

#[global_allocator]
static ALLOCATOR: ddn_trainer::memory::Lines = ddn_trainer::memory::Lines;

/// Teach a team of agents to cooperate, so that each can act alone.
#[derive(Parser)]
#[command(
    name = "ddn-train",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or config, \
    3 environment, 4 diverged, 5 input/output, 6 corrupt input, 130/143 stopped by a signal after saving."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train from a config file.
    Train {
        /// A TOML file, for example trainer/configs/quickstart.toml.
        config: PathBuf,
        /// Override one key: --set learner.gamma=0.95
        #[arg(long, value_name = "A.B=C")]
        set: Vec<String>,
        /// Run directory; default `runs/CONFIG`, after the name of the file.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Print the summary as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Go on with a run that was stopped or killed.
    Resume {
        /// Its directory.
        run: PathBuf,
        /// Print the summary as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Test a trained network greedily, or a policy written by hand.
    Eval {
        /// A run or a checkpoint; with --policy also a config file.
        run: PathBuf,
        /// How many episodes.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
        episodes: u32,
        /// Which network; default the one that ships.
        #[arg(long)]
        network: Option<String>,
        /// A scripted policy of the environment instead of a network.
        #[arg(long, conflicts_with = "network")]
        policy: Option<String>,
        /// Which episodes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Watch an episode, in the terminal or in a browser.
    Play {
        /// A run or a checkpoint; with --policy also a config file.
        run: PathBuf,
        /// Which network; default the one that ships.
        #[arg(long)]
        network: Option<String>,
        /// A scripted policy of the environment instead of a network.
        #[arg(long, conflicts_with = "network")]
        policy: Option<String>,
        /// Which episode.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Milliseconds between frames.
        #[arg(long, default_value_t = 0)]
        pace: u64,
        /// Write the episode as one page for a browser instead; an older file is replaced.
        #[arg(long, value_name = "FILE", conflicts_with = "pace")]
        html: Option<PathBuf>,
        /// Write the episode as a moving picture instead.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["pace", "html"])]
        gif: Option<PathBuf>,
    },
    /// Train all runs of a study: tasks, algorithms, settings, seeds.
    Sweep {
        /// A TOML file, for example trainer/studies/quickstart.toml.
        spec: PathBuf,
        /// Override one key of every cell: --set t_max=20000
        #[arg(long, value_name = "A.B=C")]
        set: Vec<String>,
        /// The size of the study that its table [scale.NAME] describes.
        #[arg(long, value_name = "NAME")]
        scale: Option<String>,
        /// Directory of the study; default `runs/studies/SPEC`, after the name of the file.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Cells at a time; default one per core.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
        jobs: Option<u32>,
        /// Threads of each cell; default the cores, shared out among the jobs.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
        threads: Option<u32>,
        /// Train only this cell, counted from 0.
        #[arg(long)]
        index: Option<usize>,
        /// Print the cells, and which are done, instead.
        #[arg(long, conflicts_with_all = ["index", "emit_slurm"])]
        list: bool,
        /// Print a script that runs them as an array job of Slurm, instead.
        #[arg(long, conflicts_with = "index")]
        emit_slurm: bool,
    },
    /// Show studies and runs as one page that opens offline, and as numbers for other programs.
    Report {
        /// Run directories, and directories of studies.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// The page; default report.html, where nothing else is asked for.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Every value of every test as a table.
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
        /// A folder of charts, one per task.
        #[arg(long, value_name = "DIR")]
        svg: Option<PathBuf>,
        /// The same charts as PNG.
        #[arg(long, value_name = "DIR")]
        png: Option<PathBuf>,
        /// The JSON file that marl-eval reads.
        #[arg(long, value_name = "FILE")]
        marl_eval: Option<PathBuf>,
        /// No replays in the page.
        #[arg(long)]
        no_replays: bool,
        /// Which episode the replays play.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// List environments, schemes and mixers.
    List {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check that an environment keeps its contract.
    CheckEnv {
        /// A config file, or the name of an environment.
        env: String,
        /// Override one key of the file.
        #[arg(long, value_name = "A.B=C")]
        set: Vec<String>,
        /// Which episodes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many episodes of random play.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        episodes: u32,
        /// Then step so many side by side, and say how fast.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
        envs: Option<u32>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Measure speed and memory of an experiment.
    Bench {
        /// A TOML file.
        config: PathBuf,
        /// Override one key.
        #[arg(long, value_name = "A.B=C")]
        set: Vec<String>,
        /// Updates to time, after one to warm up.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        updates: u32,
        /// Learn from made-up episodes of so many steps in which no number is zero.
        #[arg(long, value_name = "STEPS", conflicts_with = "mixers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        dense: Option<u32>,
        /// Another learner to time in turns with this one, on the same shapes and threads.
        #[arg(long, value_name = "LEARNER")]
        against: Option<bench::RivalKind>,
        /// How many turns of both.
        #[arg(long, default_value_t = 3, requires = "against", value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// A Python interpreter that can import torch and numpy.
        #[arg(long, default_value = "python3", requires = "against")]
        python: PathBuf,
        /// Time the updates of this experiment's scheme with every mixer, by turns, instead.
        #[arg(long, conflicts_with = "against")]
        mixers: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[allow(unsafe_code)]
fn main() -> ExitCode {
    ddn_trainer::memory::keep_pages();
    // candle's own threads wait by spinning, which starves the kernels' threads: it gets none.
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: the first statement of the program; no other thread exists that could read.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("DDN_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(show("", &error)),
    }
}

/// Says what went wrong, and with which code to leave.
fn show(whose: &str, error: &anyhow::Error) -> u8 {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "ddn-train{whose}: {}", chain(error));
    exit_code(error)
}

/// Does `work` with all processes that were launched with this one; where it fails here, it ends everywhere.
fn together(
    work: impl FnOnce(Arc<dyn Link>) -> anyhow::Result<Option<Stop>>,
) -> anyhow::Result<Option<Stop>> {
    let link = ddn_trainer::ranks::launched()?;
    // The others wait for this one: a panic has to end them as well.
    match catch_unwind(AssertUnwindSafe(|| work(Arc::clone(&link)))) {
        Ok(Err(error)) if link.count() > 1 => link.abort(show(&format!(" (rank {})", link.rank()), &error)),
        Err(_) if link.count() > 1 => link.abort(101),
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}

/// The error and its causes, leaving out those that the text before them has quoted already.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    text
}

/// A reader of our output that leaves, as `head` does, ends the program, as is the custom of the
/// shell. Training goes on without one: it has a run to save.
fn leave_with_the_reader(command: &Command) -> anyhow::Result<()> {
    #[cfg(unix)]
    if !matches!(command, Command::Train { .. } | Command::Resume { .. } | Command::Sweep { .. }) {
        let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, always)?;
    }
    Ok(())
}

fn run(command: Command) -> anyhow::Result<u8> {
    leave_with_the_reader(&command)?;
    let stopped = match command {
        Command::Train { config, set, out, json } => {
            together(|link| train::train(&config, &set, out, json, link))?
        }
        Command::Resume { run, json } => together(|link| train::resume(&run, json, link))?,
        Command::Eval { run, episodes, network, policy, seed, json } => {
            let who = who(network.as_deref(), policy.as_deref());
            evaluate::evaluate(&run, episodes as usize, who, seed, json)?;
            None
        }
        Command::Play { run, network, policy, seed, pace, html, gif } => {
            let who = who(network.as_deref(), policy.as_deref());
            let how = match (&html, &gif) {
                (Some(path), _) => evaluate::Show::Page(path),
                (_, Some(path)) => evaluate::Show::Gif(path),
                _ => evaluate::Show::Terminal(Duration::from_millis(pace)),
            };
            evaluate::watch(&run, who, seed, how)?;
            None
        }
        Command::Sweep { spec, set, scale, out, jobs, threads, index, list, emit_slurm } => {
            let deed = match (list, emit_slurm) {
                (true, _) => sweep::Deed::List,
                (_, true) => sweep::Deed::Slurm,
                _ => sweep::Deed::Train,
            };
            let [jobs, threads] = [jobs, threads].map(|count| count.map(|count| count as usize));
            sweep::sweep(&sweep::Request { spec, set, scale, out, jobs, threads, index, deed })?
        }
        Command::Report { paths, out, csv, svg, png, marl_eval, no_replays, seed } => {
            let films = !no_replays;
            report::report(&report::Request { paths, out, csv, svg, png, marl_eval, films, seed })?;
            None
        }
        Command::List { json } => {
            list::list(json)?;
            None
        }
        Command::CheckEnv { env, set, seed, episodes, envs, json } => {
            list::check((&env, &set), (seed, episodes as usize), envs.map(|envs| envs as usize), json)?;
            None
        }
        Command::Bench { config, set, updates, mixers: true, json, .. } => {
            bench::mixers::bench_mixers(&config, &set, updates as usize, json)?;
            None
        }
        Command::Bench { config, set, updates, dense, against, rounds, python, json, .. } => {
            let rival = against.map(|kind| bench::Rival { kind, python, rounds: rounds as usize });
            let dense = dense.map(|steps| steps as usize);
            bench::bench(&config, &set, &bench::Request { updates: updates as usize, dense, rival, json })?;
            None
        }
    };
    Ok(stopped.map_or(0, Stop::exit_code))
}

fn who<'a>(network: Option<&'a str>, policy: Option<&'a str>) -> evaluate::Who<'a> {
    policy.map_or(evaluate::Who::Network(network), evaluate::Who::Policy)
}

/// The exit code that the first known error of the chain asks for.
fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(1)
}

fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    use ddn_trainer::error::{ConfigError, EnvError, MetricsError};
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return match error {
            TrainError::Config(error) => code_of(error),
            TrainError::Env(error) => code_of(error),
            TrainError::Learn(error) => code_of(error),
            TrainError::Checkpoint(error) => code_of(error),
            TrainError::Metrics(error) => code_of(error),
            TrainError::Exists { .. } | TrainError::OneCheckpoint { .. } | TrainError::NoRun { .. } => {
                Some(2)
            }
        };
    }
    if error.is::<ConfigError>() {
        return Some(2);
    }
    if let Some(error) = error.downcast_ref::<RankError>() {
        return Some(if matches!(error, RankError::NotBuilt { .. }) { 2 } else { 1 });
    }
    if let Some(error) = error.downcast_ref::<LearnError>() {
        return match error {
            LearnError::Env(error) => code_of(error),
            LearnError::Diverged { .. } => Some(4),
            LearnError::Ranks(error) => code_of(error),
            LearnError::Tensor { .. } => Some(1),
        };
    }
    if let Some(error) = error.downcast_ref::<CheckpointError>() {
        return Some(match error {
            CheckpointError::Io { .. } | CheckpointError::Locked { .. } => 5,
            _ => 6,
        });
    }
    if let Some(error) = error.downcast_ref::<EnvError>() {
        return Some(if matches!(error, EnvError::Config { .. }) { 2 } else { 3 });
    }
    if let Some(error) = error.downcast_ref::<MetricsError>() {
        return Some(if matches!(error, MetricsError::Short { .. } | MetricsError::Line { .. }) {
            6
        } else {
            5
        });
    }
    error.is::<std::io::Error>().then_some(5)
}
