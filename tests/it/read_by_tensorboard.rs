//! Event files, read by TensorBoard itself.
//!
//! Needs an interpreter that has the `tensorboard` package, named by `DDN_PYTHON`.

use std::path::Path;
use std::process::Command;

use ddn_trainer::metrics::{Record, Recorder};

fn record(t_env: u64) -> Record {
    let x = t_env as f64;
    let values = [("td_loss", (-x / 1e3).exp()), ("test/lpn_return", x.sin()), ("größe", 1e30 + x)];
    let values = values.map(|(key, value)| (key.to_owned(), value)).into();
    Record { t_env, episode: t_env / 50, update: t_env / 100, values }
}

#[test]
fn tensorboard_reads_a_run_that_was_resumed() {
    let python = std::env::var_os("DDN_PYTHON").expect("tests/run tensorboard sets DDN_PYTHON");
    let dir = tempfile::tempdir().expect("a directory");
    let mut recorder = Recorder::create(dir.path()).expect("a new run");
    let write = |recorder: &mut Recorder, range: std::ops::Range<u64>| {
        for step in range {
            recorder.write(&record(step * 300)).expect("a record");
        }
    };
    write(&mut recorder, 0..40);
    let positions = recorder.positions().expect("a checkpoint");
    // These rows are lost with the process that wrote them, and written again.
    write(&mut recorder, 40..47);
    drop(recorder);
    let mut recorder = Recorder::resume(dir.path(), &positions).expect("the run");
    write(&mut recorder, 40..100);
    let mut last = record(30_000);
    last.values.insert("diverged".to_owned(), f64::INFINITY);
    recorder.write(&last).expect("a record");
    drop(recorder);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/read_events.py");
    let output = Command::new(python).arg(script).arg(dir.path()).output().expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), "304 values agree");
}
