//! What a policy costs on a device: bytes of flash and memory from the file itself, instructions from emulated boards.

use std::path::Path;
use std::process::Command;

use ddn_runtime::Model;
use serde::Serialize;

use crate::error::ExportError;
use crate::publish::Output;

/// One policy file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Name of the file.
    pub file: String,
    /// Bytes of the file, which is what it takes of flash.
    pub flash: usize,
    /// Bytes each agent remembers.
    pub memory: usize,
    /// Bytes of scratch, shared by all agents.
    pub scratch: usize,
    /// Instructions, one entry for each board.
    pub boards: Vec<BoardCost>,
}

/// Instructions on one board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoardCost {
    /// Name of the board, as `examples/firmware/boards` has it.
    pub board: String,
    /// Least, mean and most instructions of a step over the recorded episodes.
    pub step: [u64; 3],
    /// Instructions to open the file.
    pub open: u64,
}

/// Sizes of an exported policy; no boards.
///
/// # Errors
/// [`ExportError::Engine`] if the runtime refuses the file.
pub fn sizes(output: &Output) -> Result<Cost, ExportError> {
    let refused = |reason: String| ExportError::Engine { engine: "runtime", during: "loading", reason };
    let policy = Model::open(&output.bytes).map_err(|e| refused(e.to_string()))?;
    let (memory, scratch) = (4 * policy.memory_len(), 4 * policy.scratch_len());
    Ok(Cost { file: output.file_name.into(), flash: output.bytes.len(), memory, scratch, boards: Vec::new() })
}

/// Replays `episodes` with `policy` on a board: builds and starts the program `replay` of the firmware in `firmware`.
///
/// # Errors
/// [`ExportError::Usage`] if the folder has no such board or the program does not come to an end, with what it said.
pub fn board(firmware: &Path, board: &str, policy: &Path, episodes: &Path) -> Result<BoardCost, ExportError> {
    let config = firmware.join("boards").join(format!("{board}.toml"));
    if !config.is_file() {
        return Err(ExportError::Usage(format!(
            "board {board}: {} is not there; --firmware names the folder examples/firmware of the sources",
            config.display()
        )));
    }
    let path = |path: &Path| path.canonicalize().map_err(ExportError::io(path));
    let run = Command::new("cargo")
        .args(["run", "--release", "--quiet", "--config"])
        .arg(path(&config)?)
        .args(["--bin", "replay"])
        .current_dir(firmware)
        .env("DDN_POLICY", path(policy)?)
        .env("DDN_EPISODES", path(episodes)?)
        .output()
        .map_err(|e| ExportError::Usage(format!("board {board}: cargo cannot be started: {e}")))?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let cost = run.status.success().then(|| parse(board, &said)).flatten();
    cost.ok_or_else(|| {
        let errors = String::from_utf8_lossy(&run.stderr).into_owned();
        let mut lines = said.lines().chain(errors.lines()).filter(|line| !line.trim().is_empty());
        // The linker's own word comes first; the last line only says that there was an error.
        let told = lines.clone().find(|line| line.contains("overflowed by")).or_else(|| lines.next_back());
        ExportError::Usage(format!(
            "board {board}: `replay` in {} failed: {}",
            firmware.display(),
            told.map_or("it said nothing", str::trim)
        ))
    })
}

/// The two lines of `replay` that count.
fn parse(board: &str, said: &str) -> Option<BoardCost> {
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let mut step =
        line("instructions per step: min ")?.split_whitespace().filter_map(|word| word.parse().ok());
    let step = [step.next()?, step.next()?, step.next()?];
    let open = line("instructions to open the file: ")?.trim().parse().ok()?;
    Some(BoardCost { board: board.into(), step, open })
}

/// The costs as a table.
#[must_use]
pub fn table(costs: &[Cost]) -> String {
    let mut text = format!("{:<26} {:>10} {:>13} {:>9}\n", "file", "flash B", "memory B/agent", "scratch B");
    for cost in costs {
        text += &format!("{:<26} {:>10} {:>14} {:>9}\n", cost.file, cost.flash, cost.memory, cost.scratch);
    }
    if costs.iter().any(|cost| !cost.boards.is_empty()) {
        text += &format!(
            "\n{:<26} {:<8} {:>9} {:>9} {:>9} {:>10}\n",
            "instructions", "board", "least", "mean", "most", "opening"
        );
    }
    for (cost, board) in costs.iter().flat_map(|cost| cost.boards.iter().map(move |board| (cost, board))) {
        let [least, mean, most] = board.step;
        let (file, name, open) = (&cost.file, &board.board, board.open);
        text += &format!("{file:<26} {name:<8} {least:>9} {mean:>9} {most:>9} {open:>10}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{BoardCost, parse};

    #[test]
    fn counts_are_found_among_other_lines() {
        let said = "self-test 16 steps\ninstructions per step: min 1 mean 22 max 333\n\
                    instructions to open the file: 4444\nsteps that differ from the recording: 0\n";
        let want = BoardCost { board: "an386".into(), step: [1, 22, 333], open: 4444 };
        assert_eq!(parse("an386", said), Some(want));
        assert_eq!(parse("an386", "self-test 16 steps\n"), None);
    }
}
