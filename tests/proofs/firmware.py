"""Builds and runs the programs of examples/firmware on its boards. Needs the component llvm-tools."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FIRMWARE = TOP / "examples/firmware"
ASSETS = FIRMWARE / "assets"
BOARDS = sorted(path.stem for path in FIRMWARE.glob("boards/*.toml"))


def output(*command, folder=FIRMWARE, **environment):
    """What a command prints. Ends the program if it fails."""
    ran = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    if ran.returncode != 0:
        sys.exit(f"{ran.stdout}\nfailed ({ran.returncode}): {' '.join(command)}")
    return ran.stdout


def cargo(verb, board, program, *options, **environment):
    """Standard output of `cargo build` or `cargo run`."""
    where = ("--config", f"boards/{board}.toml", "--bin", program)
    return output("cargo", verb, "-q", "--release", "--locked", *where, *options, **environment)


def triple(board):
    """The target of a board."""
    return tomllib.loads((FIRMWARE / f"boards/{board}.toml").read_text())["build"]["target"]


def image(board, program, target=None):
    """The file that `cargo build` makes, for another target than the board's own if one is named."""
    target = target or triple(board)
    ending = ".wasm" if target.startswith("wasm") else ""
    return str(FIRMWARE / "target" / target / "release" / (program + ending))


def llvm(tool, *arguments):
    """What a tool of llvm-tools prints."""
    sysroot = Path(output("rustc", "--print", "sysroot").strip())
    (path,) = sysroot.glob(f"lib/rustlib/*/bin/llvm-{tool}")
    return output(str(path), *arguments)
