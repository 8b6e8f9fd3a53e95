"""Runs `ddn-train` on an environment in Python, as a user does."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / "target/release/ddn-train"
WARNING = re.compile(r"(\S+Z)\s+WARN .*a worker failed: (.*?)( worker=\d+)?$", re.MULTILINE)

CONFIG = """
t_max = {t_max}
threads = 1

[env]
kind = "python"
env = "{env}"
python = "{python}"
path = ["{package}", "{here}"]
state = "concat"
restart_wait = 0.05
{keys}

[scheme]
kind = "ddn"
width = 8

[scheme.lpn]
hyper = 4

[mixer]
kind = "vdn"

[replay]
batch = 4

[eval]
interval = 200
episodes = 4
final_episodes = 4

[checkpoint]
interval = 100
"""


def config(folder: str, env: str, keys: str = "", t_max: int = 300) -> str:
    """Writes an experiment; `keys` are further lines of its [env] table."""
    path = os.path.join(folder, "experiment.toml")
    package, here = TOP / "trainer/python", TOP / "tests/bridge"
    text = CONFIG.format(env=env, python=sys.executable, package=package, here=here, keys=keys, t_max=t_max)
    Path(path).write_text(text)
    return path


def run(*arguments: str, seconds: float = 120.0, more: "dict[str, str] | None" = None) -> subprocess.CompletedProcess:
    """Runs it to its end, with `more` in its environment."""
    command = [str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env={**os.environ, **(more or {})})


@dataclass
class Failure:
    """The first failure that the trainer reported."""

    at: float
    text: str


def failure(stderr: str) -> "Failure | None":
    """What the log says, and when."""
    found = WARNING.search(stderr)
    if found is None:
        return None
    at = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return Failure(at.timestamp(), found[2])


def folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder that goes away."""
    return tempfile.TemporaryDirectory(prefix="ddn-bridge-")
