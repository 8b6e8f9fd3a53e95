"""What the user sees when an environment fails, how soon, and how the run goes on.

Each way to fail is tried three times: `check-env` must stop at it, a training must survive it, and a
training in which it goes on happening must save and give up, and be taken up again once it is mended.
"""

import os
from pathlib import Path

from cli import config, failure, folder, run

# What happens, and what the message must say; a failure of None is no failure.
KINDS = {
    "exception": "ValueError: the joint is out of its limits",
    "exit": "exit code 7",
    "segfault": "signal 11 (segmentation fault)",
    "killed": "signal 9",
    "hang": "raise env.step_timeout",
    "reset": "raise env.reset_timeout",
    "reset-exception": "RuntimeError: no map is loaded",
    "garbage": "where a frame should begin",
    "shape": "agent 'agent_1' (1): observation has 1 values",
    "nan": "the observation of agent 1 is NaN at index 2",
    "reward": "the reward is NaN",
    "mask": "agent 1 has no available action",
    "start": "raise env.start_timeout",
    "close": None,
    "noise": None,
}
LIMITS = "step_timeout = 2.0\nreset_timeout = 2.0\nclose_timeout = 2.0\nrestarts = 2\n"


def keys(kind: str, **more: str) -> str:
    args = ", ".join(f'{name} = "{value}"' for name, value in {"kind": kind, **more}.items())
    # Only where nothing is to start may it take long on a busy machine.
    start = 3.0 if kind == "start" else 60.0
    return f"{LIMITS}start_timeout = {start}\nargs = {{ {args} }}\nenvs_per_worker = 2\n"


def checked(kind: str, want: "str | None") -> "tuple[int, str, float | None]":
    """`check-env`: exit code, message, seconds from the failure to its report."""
    with folder() as place:
        mark = os.path.join(place, "failed")
        result = run("check-env", config(place, "class:faulty.Faulty", keys(kind, mark=mark)), "--episodes", "2")
        said = failure(result.stderr)
        last = [line for line in result.stderr.splitlines() if line.startswith("ddn-train:")]
        if want is None:
            assert result.returncode == 0, (kind, result.stderr)
            return result.returncode, "all checks passed", None
        assert result.returncode == 3, (kind, result.returncode, result.stderr)
        assert last and want in result.stderr, (kind, result.stderr)
        seconds = said.at - os.path.getmtime(mark) if said else None
        return result.returncode, last[0].removeprefix("ddn-train: "), seconds


def survived(kind: str) -> int:
    """A training in which it happens once; its exit code."""
    with folder() as place:
        once = os.path.join(place, "once")
        out = os.path.join(place, "run")
        result = run("train", config(place, "class:faulty.Faulty", keys(kind, once=once)), "--out", out)
        assert result.returncode == 0, (kind, result.stderr)
        assert os.path.exists(once), f"{kind} did not happen"
        started_again = "starting a worker again" in result.stderr
        assert started_again == (kind not in ("noise", "close")), (kind, result.stderr)
        return result.returncode


def given_up(kind: str) -> "tuple[int, int]":
    """A training in which it does not stop happening; its exit code, and that of its resumption."""
    with folder() as place:
        broken = os.path.join(place, "broken")
        out = os.path.join(place, "run")
        path = config(place, "class:faulty.Faulty", keys(kind, broken=broken), t_max=400)
        result = run("train", path, "--out", out)
        assert result.returncode == 3 and "failed 3 times within an hour" in result.stderr, (kind, result.stderr)
        saved = sorted(p.name for p in Path(out).glob("ckpt_*"))
        assert saved, f"{kind}: no checkpoint"
        os.remove(broken)
        Path(place, "mended").touch()
        resumed = run("resume", out)
        assert resumed.returncode == 0, (kind, resumed.stderr)
        return result.returncode, resumed.returncode


def show() -> None:
    """Prints the table."""
    print(f"{'failure':<16} {'exit':>4} {'noticed':>10}  {'once: exit':>10} {'always: exit':>12} {'mended: exit':>12}  message")
    for kind, want in KINDS.items():
        code, message, seconds = checked(kind, want)
        noticed = "-" if seconds is None else f"{1000 * seconds:.1f} ms"
        once = str(survived(kind)) if kind != "start" else "-"
        always, mended = given_up(kind) if want and kind != "start" else ("-", "-")
        print(f"{kind:<16} {code:>4} {noticed:>10}  {once:>10} {always:>12} {mended:>12}  {message[:110]}")
