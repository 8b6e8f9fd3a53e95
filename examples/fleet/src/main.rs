//! `ddn-fleet --policy FILE --firmware ELF`: a team of boards in QEMU against the host's environment.
#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ddn_fleet::contract::{config_of, read};
use ddn_fleet::{Fleet, FleetError, Hosted, Machine, Patience, Playable, Qemu, Verdict, compare, play};
use ddn_trainer::config::ExperimentConfig;
use ddn_trainer::seed;
use ddn_trainer::signal::Signals;

/// Plays episodes with one board per agent, each in a QEMU of its own that sees only what its agent sees, and holds
/// every action to the same policy on the host.
///
/// Exit codes: 0 all is equal, 1 something differs, 2 usage, 3 environment, 5 boards and files, 6 not a policy,
/// 130 and 143 stopped by a signal.
#[derive(Parser)]
#[command(name = "ddn-fleet", version)]
struct Cli {
    /// The policy, as `ddn-export` wrote it. The boards must carry the same file.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The image of every board: the program `agent` of examples/firmware, built with DDN_POLICY=FILE.
    #[arg(
        long,
        value_name = "ELF",
        default_value = "examples/firmware/target/thumbv7em-none-eabihf/release/agent"
    )]
    firmware: PathBuf,
    /// The experiment whose environment is played [default: the one of the run that the policy lies in].
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Boards; each agent of the policy's team needs one [default: as many].
    #[arg(long, value_name = "N")]
    boards: Option<usize>,
    /// Episodes to play.
    #[arg(long, value_name = "E", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Seed of the episodes: they are those of `ddn-train eval RUN --seed S`.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// QEMU's program.
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-arm")]
    qemu: PathBuf,
    /// Seconds to wait for an answer before a board is asked again.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
    /// How often a board is asked before it is given up.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
}

fn seconds(text: &str) -> Result<f64, String> {
    let wanted = "give a number of seconds above 0 and at most 3600";
    text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0).ok_or_else(|| wanted.to_owned())
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let mut text = format!("ddn-fleet: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whether boards and host agree.
fn run(cli: &Cli) -> Result<bool, FleetError> {
    let signals =
        Signals::install().map_err(|error| FleetError::Usage(format!("no signal handlers: {error}")))?;
    let file = read(&cli.policy)?;
    let config = match &cli.config {
        Some(config) => config.clone(),
        None => config_of(&cli.policy)?,
    };
    let playable = Playable::open(&cli.policy, &file, ExperimentConfig::load(&config, &[])?)?;
    let policy = &playable.policy;
    let n_agents = policy.spec().n_agents();
    if let Some(boards) = cli.boards.filter(|&boards| boards != n_agents) {
        let reason = format!(
            "--boards {boards}: the policy is that of a team of {n_agents}, and each agent needs a board"
        );
        return Err(FleetError::Usage(reason));
    }

    let machine = Machine { qemu: cli.qemu.clone(), firmware: cli.firmware.clone() };
    let boards = (0..n_agents).map(|board| Qemu::start(board, &machine, signals.clone()));
    let boards = boards.collect::<Result<Vec<_>, _>>()?;
    let patience = Patience { wait: Duration::from_secs_f64(cli.timeout), tries: cli.tries };
    let mut fleet = Fleet::meet(boards, policy, &file, patience)?;
    let tested = fleet.cards().iter().map(|card| card.tested).min().unwrap_or(0);
    println!(
        "{n_agents} boards {}, {} bytes of policy each, {tested} steps of self-test",
        Machine::NAME,
        file.len()
    );
    let experiment =
        if playable.same_experiment { "" } else { ", another experiment with the policy's contract" };
    println!("{} of {}{experiment}, seed {}", policy.spec().environment(), config.display(), cli.seed);
    println!("{}", Verdict::heading());

    let mut host = Hosted::new(policy);
    let (mut for_boards, mut for_host) = (playable.env()?, playable.env()?);
    let mut verdicts = Vec::new();
    for episode in 0..cli.episodes as usize {
        let seed = seed::number(cli.seed, &format!("eval/{episode}"));
        let on_boards = play(&mut *for_boards, seed, &mut fleet)?;
        let on_host = play(&mut *for_host, seed, &mut host)?;
        let verdict = Verdict::of(&on_boards, &on_host);
        println!("{}", verdict.row(episode));
        verdicts.push(verdict);
    }
    println!("{}", compare::summary(&verdicts));
    Ok(verdicts.iter().all(Verdict::equal))
}
