"""The same seed gives the same bits, whatever the number of processes, the way frames travel, and stops between."""

import os
import signal
import subprocess
import time
from pathlib import Path

from cli import PROGRAM, config, folder, run

MEET = "class:ddn_env.template.Meet"
# Environments per process, transport, and whether memory can be shared.
WAYS = [(8, "shared", True), (8, "pipe", True), (3, "shared", True), (1, "pipe", True), (1, "auto", True), (3, "auto", False)]
# Of a process that can share no memory.
SANDBOX = {"PYTHONPATH": str(Path(__file__).parent / "sandbox")}


def results(place: str) -> "dict[str, bytes]":
    """What a run leaves, but for times and the keys that may differ."""
    files = [path for path in Path(place).rglob("*") if path.is_file()]
    apart = ("config.toml", "timing.jsonl", "summary.json", "run.lock", "MANIFEST.json", "curve.svg")
    kept = [path for path in files if path.name not in apart and "tfevents" not in path.name]
    return {str(path.relative_to(place)): path.read_bytes() for path in kept}


def stopped() -> None:
    """A run on normalised observations that is stopped and resumed, beside one that is not."""
    found = []
    for stops in (0, 2):
        with folder() as place:
            path = config(place, MEET, t_max=2400)
            Path(path).write_text(Path(path).read_text() + "\n[learner]\nnormalise = true\n")
            out = os.path.join(place, "run")
            arguments = ["train", path, "--out", out]
            for stop in range(stops):
                trainer = subprocess.Popen([str(PROGRAM), *arguments], stderr=subprocess.DEVNULL)
                # Somewhere after its first record, or after the next.
                metrics = os.path.join(out, "metrics.jsonl")
                while trainer.poll() is None and (not os.path.exists(metrics) or Path(metrics).read_text().count("\n") <= stop):
                    time.sleep(0.005)
                trainer.send_signal(signal.SIGTERM)
                assert trainer.wait() == 143, "it ended before it was stopped"
                arguments = ["resume", out]
            result = run(*arguments)
            assert result.returncode == 0, result.stderr
            kept = results(out)
            last = max(name.split("/")[0] for name in kept if name.startswith("ckpt_"))
            found.append({name: kept[name] for name in kept if name == "metrics.jsonl" or name.startswith(last)})
    whole, resumed = found
    different = [name for name in whole.keys() | resumed.keys() if whole.get(name) != resumed.get(name)]
    assert not different and any("normaliser" in name for name in whole), (different, sorted(whole))
    print(f"stopped twice and resumed, observations normalised: {len(whole)} files, equal")


def show() -> None:
    """Trains in several ways and compares."""
    stopped()
    wanted = None
    for per_worker, transport, shares in WAYS:
        with folder() as place:
            keys = f'envs_per_worker = {per_worker}\ntransport = "{transport}"\n'
            path = config(place, MEET, keys, t_max=800)
            out = os.path.join(place, "run")
            result = run("train", path, "--out", out, more={} if shares else SANDBOX)
            assert result.returncode == 0, result.stderr
            assert ("frames travel through the pipe" in result.stderr) != shares, result.stderr
            found = results(out)
            assert any("ckpt_" in name for name in found) and "metrics.jsonl" in found, sorted(found)
            wanted = wanted or found
            assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())
            different = [name for name in found if found[name] != wanted[name]]
            assert not different, different
            size = sum(map(len, found.values()))
            nothing = "" if shares else ", no memory to share"
            print(f"{per_worker} environments per process, {transport:<6}{nothing}: {len(found)} files, {size} bytes, equal")
    with folder() as place:
        path = config(place, MEET, 'transport = "shared"\n')
        result = run("train", path, "--out", os.path.join(place, "run"), more=SANDBOX)
        assert result.returncode == 2 and "set it to \"pipe\"" in result.stderr, (result.returncode, result.stderr)
        print(result.stderr.strip().splitlines()[-1])
