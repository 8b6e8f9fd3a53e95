"""A trainer that is killed leaves no process behind: neither its workers nor what they started."""

import os
import random
import signal
import subprocess
import time

from cli import PROGRAM, config, folder

TOKEN = "DDN_BRIDGE_TOKEN"
# Long enough for a machine that is busy with other things.
PATIENCE = 60.0


def alive(token: str) -> "list[int]":
    """Processes that were started with this token in their environment."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if name.isdigit() and f"{TOKEN}={token}".encode() in file.read():
                    found.append(int(name))
        except OSError:
            pass
    return found


def kill_once(number: int, rng: random.Random) -> float:
    """Starts a training, kills it somewhere, and waits until everything is gone; seconds that took."""
    token = f"{os.getpid()}-{number}"
    # One in three hangs inside of the environment, where it cannot see that the trainer is gone.
    kind = ("none", "none", "hang")[number % 3]
    with folder() as place:
        path = config(place, "class:faulty.Faulty", f'args = {{ kind = "{kind}" }}\nenvs_per_worker = 4\n', 10**6)
        trainer = subprocess.Popen(
            [str(PROGRAM), "train", path, "--out", os.path.join(place, "run")],
            env={**os.environ, TOKEN: token},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + PATIENCE
        # The trainer, its two workers, and a guard each: kill it when all are there, or on the way.
        want = rng.choice([2, 3, 5, 5, 5])
        while len(started := alive(token)) < want:
            assert time.monotonic() < until, f"run {number} has started {started}"
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        began = time.monotonic()
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        while left := alive(token):
            assert time.monotonic() < began + PATIENCE, f"run {number} left {left} behind"
            time.sleep(0.005)
        return time.monotonic() - began


def show(count: int) -> None:
    """Prints how soon everything was gone."""
    rng = random.Random(1)
    seconds = sorted(kill_once(number, rng) for number in range(count))
    print(f"{count} trainers killed, processes left behind: 0")
    print(f"all gone after {1000 * seconds[count // 2]:.0f} ms (median), {1000 * seconds[-1]:.0f} ms at most")
