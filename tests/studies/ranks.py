"""Shows that the number of ranks changes no bit, and that a rank which dies ends the job and loses nothing.

    python3 tests/studies/ranks.py NAME PROGRAM LAUNCHER...

NAME is what to call this MPI, PROGRAM a `ddn-train` built for it, LAUNCHER how it starts processes, without their
number. `bash tests/run studies` builds the programs.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

NAME, PROGRAM, *LAUNCHER = sys.argv[1:]
# Longest time in seconds from the death of a rank to the end of the job.
WITHIN = 10.0
UPDATES = 200
CONFIG = """
t_max = 5000
threads = 1

[env]
kind = "predator-prey"
rows = 5
cols = 5
predators = 3
prey = 2
episode_limit = 20

[scheme]
kind = "ddn"
behaviour = "mix"

[mixer]
kind = "qmix"

[rollout]
envs = 8

[replay]
batch = 8

[learner]
shards = 4

[eval]
interval = 1000
episodes = 10
final_episodes = 10

[checkpoint]
interval = 400
"""
# What holds times, or nothing that a run is judged by.
APART = ("timing.jsonl", "run.lock")
# As which rank a process runs: OpenMPI, and MPICH and its kin.
RANK = ("OMPI_COMM_WORLD_RANK=", "PMI_RANK=")


def job(ranks: int, *arguments: str) -> "subprocess.Popen[str]":
    launcher = [*LAUNCHER, "-np", str(ranks)] if ranks else []
    command = [*launcher, PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=300)
    if process.returncode != 0:
        sys.exit(f"{NAME}: {process.args} ended with {process.returncode}: {said[-2000:]}")


def files(run: pathlib.Path) -> "dict[str, bytes]":
    """The last checkpoint and the metrics; a run that was killed may have kept other checkpoints before."""
    last = max(path.name for path in run.glob("ckpt_*"))
    paths = [path for path in [*(run / last).rglob("*"), *run.glob("*")] if path.is_file()]
    kept = [path for path in paths if path.name not in APART and "tfevents" not in path.name]
    return {str(path.relative_to(run)): path.read_bytes() for path in kept}


def compare(what: str, want: "dict[str, bytes]", run: pathlib.Path) -> None:
    have = files(run)
    differing = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if differing:
        sys.exit(f"{NAME}, {what}: {len(differing)} files differ: {', '.join(differing[:5])}")
    print(f"{NAME}, {what}: {len(have)} files, {sum(map(len, have.values()))} bytes, equal")


def process_of(rank: int, run: pathlib.Path) -> "int | None":
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = pathlib.Path(f"/proc/{name}/cmdline").read_text().split("\0")
            environment = pathlib.Path(f"/proc/{name}/environ").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if words[0] == PROGRAM and str(run) in words and any(f"{key}{rank}" in environment for key in RANK):
            return int(name)
    return None


def killed(folder: pathlib.Path, want: "dict[str, bytes]") -> None:
    """Rank 1 dies in the middle; two ranks, then one, go on."""
    run = folder / "killed"
    process = job(2, "train", str(folder / "ranks.toml"), "--out", str(run))
    metrics = run / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        if process.poll() is not None:
            sys.exit(f"{NAME}: it ended with {process.returncode} before it was killed: {process.communicate()[1]}")
        time.sleep(0.01)
    victim = process_of(1, run)
    if victim is None:
        sys.exit(f"{NAME}: rank 1 of {run} is not found")
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    process.communicate(timeout=60)
    took = time.monotonic() - began
    if process.returncode == 0 or took > WITHIN or process_of(0, run) is not None:
        sys.exit(f"{NAME}: after the death of rank 1 the job ended with {process.returncode} in {took:.1f} s")
    print(f"{NAME}, rank 1 killed: the job ended in {took:.1f} s")
    finish(job(2, "resume", str(run)))
    compare("resumed", want, run)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ddn-ranks-") as place:
        folder = pathlib.Path(place)
        (folder / "ranks.toml").write_text(CONFIG)
        finish(job(0, "train", str(folder / "ranks.toml"), "--out", str(folder / "alone")))
        want = files(folder / "alone")
        updates = json.loads((folder / "alone" / "metrics.jsonl").read_text().splitlines()[-1])["update"]
        if updates < UPDATES:
            sys.exit(f"{NAME}: only {updates} updates")
        for ranks in (1, 2):
            run = folder / f"ranks_{ranks}"
            finish(job(ranks, "train", str(folder / "ranks.toml"), "--out", str(run)))
            compare(f"-np {ranks}, {updates} updates", want, run)
        killed(folder, want)


main()
