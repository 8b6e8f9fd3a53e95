"""The policies of `examples/zoo` for environments in Python earn what the summaries of their runs say."""

import json
import subprocess
import sys
import tomllib

from cli import TOP
from ship import EXPORTER


def show() -> None:
    """Plays the final test of each run with the policy that was exported."""
    shown = 0
    for folder in sorted(path.parent for path in (TOP / "examples/zoo").glob("*/config.toml")):
        if tomllib.loads((folder / "config.toml").read_text())["env"]["kind"] != "python":
            continue
        rows = {row["player"]: row for row in json.loads((folder / "summary.json").read_text())["rows"]}
        said = rows.get("lpn") or rows["agent"]
        command = [str(EXPORTER), "eval", str(folder / "policy.safetensors"), str(folder / "config.toml"), "--json"]
        played = subprocess.run(
            [*command, "--set", f"env.python={sys.executable}"], cwd=TOP, capture_output=True, text=True
        )
        assert played.returncode == 0, played.stderr
        earned = json.loads(played.stdout)
        assert abs(earned["mean"] - said["mean_return"]) < said["interval"], (earned, said)
        print(f"{folder.name}: {earned['mean']:.3f} over {earned['episodes']} episodes, {said['mean_return']:.3f} in training")
        shown += 1
    assert shown > 0, "the zoo has no such policy"
