"""The same seed gives the same bits, whatever the number of processes and the way frames travel."""

import os
from pathlib import Path

from cli import config, folder, run

WAYS = [(8, "shared"), (8, "pipe"), (3, "shared"), (1, "pipe"), (1, "auto")]


def results(place: str) -> "dict[str, bytes]":
    """What a run leaves, but for times and the keys that may differ."""
    files = [path for path in Path(place).rglob("*") if path.is_file()]
    apart = ("config.toml", "timing.jsonl", "summary.json", "run.lock", "MANIFEST.json", "curve.svg")
    kept = [path for path in files if path.name not in apart and "tfevents" not in path.name]
    return {str(path.relative_to(place)): path.read_bytes() for path in kept}


def show() -> None:
    """Trains in several ways and compares."""
    wanted = None
    for per_worker, transport in WAYS:
        with folder() as place:
            keys = f'envs_per_worker = {per_worker}\ntransport = "{transport}"\n'
            path = config(place, "class:ddn_env.template.Meet", keys, t_max=800)
            out = os.path.join(place, "run")
            result = run("train", path, "--out", out)
            assert result.returncode == 0, result.stderr
            found = results(out)
            assert any("ckpt_" in name for name in found) and "metrics.jsonl" in found, sorted(found)
            wanted = wanted or found
            assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())
            different = [name for name in found if found[name] != wanted[name]]
            assert not different, different
            size = sum(map(len, found.values()))
            print(f"{per_worker} environments per process, {transport:<6}: {len(found)} files, {size} bytes, equal")
