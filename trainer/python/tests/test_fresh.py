import unittest
from contextlib import redirect_stderr
from io import StringIO

import numpy as np

from ddn_env.adapter import ContractError

from .playing import episode, frame, module, opened


class Leaves:
    """What it shows depends on how many episodes came before; every third one that is made is wider."""

    n_agents, n_actions, episode_limit = 1, 2, 3
    made, closed, wider = 0, 0, False

    def __init__(self):
        cls = type(self)
        cls.made += 1
        self.obs_dim = 3 if cls.wider and cls.made % 3 == 0 else 2
        self.episodes, self.time = 0, 0

    def reset(self, seed):
        self.episodes, self.time = self.episodes + 1, 0
        self.seed = seed
        return self.observe()

    def observe(self):
        return np.full((1, self.obs_dim), self.seed + self.episodes + self.time / 8, np.float32)

    def step(self, actions):
        self.time += 1
        return self.observe(), 1.0, False

    def save(self):
        return bytes([self.seed, self.episodes, self.time])

    def load(self, saved):
        self.seed, self.episodes, self.time = saved
        return self.observe()

    def close(self):
        type(self).closed += 1


class FreshTest(unittest.TestCase):
    def setUp(self):
        self.kind = type("Leaves", (Leaves,), {})
        module("leaves", Leaves=self.kind)

    def open(self, **keys):
        return opened("class:leaves.Leaves", state="concat", **keys)

    def test_an_episode_forgets_the_last_one(self):
        kept = self.open()
        self.assertNotEqual(episode(kept, 5), episode(kept, 5))
        kept.close()
        self.kind.made = self.kind.closed = 0
        fresh = self.open(fresh=True)
        first = episode(fresh, 5)
        self.assertEqual([episode(fresh, seed) for seed in (7, 5)][1], first)
        self.assertEqual((self.kind.made, self.kind.closed), (3, 2))
        fresh.close()
        self.assertEqual(self.kind.closed, 3)

    def test_a_saved_episode_goes_on_and_the_next_is_new(self):
        fresh, other = self.open(fresh=True), self.open(fresh=True)
        self.assertTrue(fresh.spec.saves)
        episode(fresh, 3)
        here, there = frame(fresh.spec), frame(other.spec)
        fresh.reset(4, here)
        fresh.step([0], here)
        other.load(fresh.save(), there)
        self.assertEqual([part.tolist() for part in here], [part.tolist() for part in there])
        self.assertEqual(fresh.step([1], here), other.step([1], there))
        self.assertEqual(episode(fresh, 9), episode(other, 9))

    def test_one_that_cannot_be_closed_is_left(self):
        fresh = self.open(fresh=True)
        first = episode(fresh, 5)
        self.kind.close = lambda _: 1 / 0
        with redirect_stderr(StringIO()) as said:
            self.assertEqual(episode(fresh, 5), first)
        self.assertIn("ZeroDivisionError", said.getvalue())

    def test_another_one_is_refused(self):
        self.kind.wider = True
        fresh = self.open(fresh=True)
        episode(fresh, 1)
        episode(fresh, 2)
        with self.assertRaisesRegex(ContractError, "made anew, it has other obs_dim: 3 after 2"):
            episode(fresh, 3)


if __name__ == "__main__":
    unittest.main()
