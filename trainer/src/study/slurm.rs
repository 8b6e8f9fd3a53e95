//! A study as an array job of Slurm.

use std::path::Path;

/// What the script asks the cluster for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The study's file.
    pub spec: &'a Path,
    /// Where its cells go.
    pub out: &'a Path,
    /// `--set` and `--scale`, as they were given.
    pub options: &'a [String],
    /// Cells.
    pub cells: usize,
    /// Cells at a time.
    pub jobs: usize,
    /// Cores of each.
    pub threads: usize,
}

/// The text of the script.
///
/// A cell whose time runs out is told so two minutes before, saves, and is queued again.
#[must_use]
pub fn script(request: &Request<'_>) -> String {
    let name = request.spec.file_stem().unwrap_or_default().to_string_lossy();
    let last = request.cells.saturating_sub(1);
    let out = quoted(&request.out.display().to_string());
    let options: String = request.options.iter().map(|option| format!(" {}", quoted(option))).collect();
    format!(
        "#!/bin/bash\n\
         #SBATCH --job-name=ddn-{}\n\
         #SBATCH --array=0-{last}%{}\n\
         #SBATCH --cpus-per-task={}\n\
         #SBATCH --output=slurm-%A_%a.log\n\
         #SBATCH --signal=TERM@120\n\
         #SBATCH --requeue\n\
         # Add what your cluster wants: --time, --mem, --partition, --account.\n\
         \n\
         ddn-train sweep {}{options} --out {out} --threads {} --index \"$SLURM_ARRAY_TASK_ID\" &\n\
         cell=$!\n\
         # The signal comes to this shell too, which must outlive the training: it saves, then leaves with 143.\n\
         trap 'told=1; kill -TERM \"$cell\" 2>/dev/null' TERM\n\
         wait \"$cell\"; code=$?\n\
         # A signal ends the first wait, not the training.\n\
         [ -n \"$told\" ] && {{ wait \"$cell\"; code=$?; }}\n\
         # Nothing else is queued again: one that was killed for its memory would come back for ever.\n\
         [ \"$code\" = 143 ] && exec scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\"\n\
         exit \"$code\"\n",
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>(),
        request.jobs,
        request.threads,
        quoted(&request.spec.display().to_string()),
        request.threads,
    )
}

/// For a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+,:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_runs_one_cell_per_task() {
        let options = ["--set".to_owned(), "env.name=it's a map".to_owned()];
        let text = script(&Request {
            spec: Path::new("studies/figure 5.toml"),
            out: Path::new("runs/figure_5"),
            options: &options,
            cells: 12,
            jobs: 4,
            threads: 2,
        });
        for part in [
            "#!/bin/bash\n",
            "--job-name=ddn-figure-5\n",
            "--array=0-11%4\n",
            "--cpus-per-task=2\n",
            "ddn-train sweep 'studies/figure 5.toml' --set 'env.name=it'\\''s a map' --out runs/figure_5 --threads 2 \
             --index \"$SLURM_ARRAY_TASK_ID\" &\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_shell_reads_the_script() {
        let request = Request {
            spec: Path::new("a.toml"),
            out: Path::new("b"),
            options: &[],
            cells: 1,
            jobs: 1,
            threads: 1,
        };
        // `-n` reads without running.
        let mut shell = std::process::Command::new("bash");
        let output = shell.args(["-n", "-c", &script(&request)]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
