"""An environment that fails on purpose, in every way that the trainer has to survive.

`kind` says how, `at` in which step of an episode. The others are names of files: it writes `mark`
when it fails; with `once` it fails only where that file is not there yet, and makes it; with `broken`
it makes that file some episodes later and fails from then on, for as long as the file is there.
"""

import os
import signal
import sys
import time

# Where `ddn_env` keeps the pipe to the trainer: the second file that it opens.
ANSWERS = 4


class Faulty:
    """Two agents who are paid for agreeing, five steps long."""

    n_agents = 2
    n_actions = 2
    obs_dim = 3
    episode_limit = 5

    def __init__(self, kind="none", at=3, mark=None, once=None, broken=None):
        self.kind, self.at, self.mark, self.once, self.broken = kind, at, mark, once, broken
        self.t = self.episode = 0
        if self.due("start"):
            self.hang()

    def due(self, kind):
        """Whether this is the moment to fail in that way."""
        if self.kind != kind:
            return False
        if self.once:
            if os.path.exists(self.once):
                return False
            open(self.once, "w").close()
        if self.broken:
            mended = os.path.join(os.path.dirname(self.broken), "mended")
            if self.episode == 12 and not os.path.exists(mended):
                open(self.broken, "w").close()
            return os.path.exists(self.broken)
        if self.mark:
            open(self.mark, "w").close()
        return True

    @staticmethod
    def hang():
        while True:
            time.sleep(60)

    def observe(self):
        obs = [[self.t / 5.0, 1.0, 0.0], [self.t / 5.0, 0.0, 1.0]]
        if self.t == self.at:
            if self.due("shape"):
                obs[1] = [0.0]
            if self.due("nan"):
                obs[1][2] = float("nan")
        return obs

    def available(self):
        open_to = [[1, 1], [1, 1]]
        if self.t == self.at and self.due("mask"):
            open_to[1] = [0, 0]
        return open_to

    def reset(self, seed):
        self.t = 0
        self.episode += 1
        if self.due("reset"):
            self.hang()
        if self.due("reset-exception"):
            raise RuntimeError("no map is loaded")
        return self.observe()

    def step(self, actions):
        self.t += 1
        reward = float(actions[0] == actions[1])
        if self.t == self.at:
            if self.due("noise"):
                print("a line on standard output " * 40)
                os.write(1, b"and bytes beside Python\x00\xff\n" * 100)
            if self.due("exception"):
                raise ValueError("the joint is out of its limits")
            if self.due("exit"):
                sys.exit(7)
            if self.due("segfault"):
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.due("killed"):
                os.kill(os.getpid(), signal.SIGKILL)
            if self.due("hang"):
                self.hang()
            if self.due("garbage"):
                os.write(ANSWERS, b"hello, this is no frame at all")
            if self.due("reward"):
                reward = float("nan")
        return self.observe(), reward, self.t == 5

    def close(self):
        if self.due("close"):
            self.hang()
