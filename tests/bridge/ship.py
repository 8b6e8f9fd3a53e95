"""A policy that was trained on raw sensor values of an environment in Python is shipped and verified."""

import os
import re
import subprocess

from cli import TOP, config, folder, run

EXPORTER = TOP / "target/release/ddn-export"


def show() -> None:
    """Trains with `learner.normalise`, exports, and replays in the engines that need nothing installed."""
    with folder() as place:
        path = config(place, "pettingzoo:mpe2.simple_spread_v3", 'reward = "sum"\n', t_max=1500)
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n[learner]\nnormalise = true\n")
        out = os.path.join(place, "run")
        result = run("train", path, "--out", out)
        assert result.returncode == 0, result.stderr
        command = [str(EXPORTER), out, "--verify", "--engines", "candle,runtime,tract", "--episodes", "8"]
        exported = subprocess.run(command, capture_output=True, text=True)
        assert exported.returncode == 0, exported.stdout + exported.stderr
        files = sorted(os.listdir(os.path.join(out, "export")))
        assert "policy.safetensors" in files and "policy.onnx" in files, files
        for line in exported.stdout.splitlines():
            if re.search(r"runtime|tract", line):
                print(line)
