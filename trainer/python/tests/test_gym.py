import unittest

import gymnasium
import numpy as np
from gymnasium import spaces

from ddn_env.adapter import ConfigError, ContractError

from .playing import episode, frame, opened


class Pair(gymnasium.Env):
    """Two agents of unlike sizes; what `step` says at step `end` comes from outside."""

    max_steps = 5

    def __init__(self, end=3, terminated=True, truncated=False, reward=(1.0, 2.0), old=False, slip=False):
        self.observation_space = spaces.Tuple([spaces.Box(-9, 9, (2,)), spaces.Discrete(3)])
        self.action_space = spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3, start=1)])
        self.end, self.terminated, self.truncated = end, terminated, truncated
        self.reward, self.old, self.slip = reward, old, slip

    def reset(self, seed=None, options=None):
        self.time = 0
        return self.observe(), self.info()

    def observe(self):
        return np.full(1 if self.slip else 2, self.time, np.float32), self.time % 3

    def info(self):
        return {"action_mask": [[1, self.time % 2], [1, 1, 0]], "won": True}

    def step(self, actions):
        self.time += 1
        self.asked = actions
        over = self.time >= self.end
        terminated = self.terminated if over else False
        return self.observe(), self.reward, terminated, self.truncated if over else False, self.info()

    def state(self):
        return np.array([self.time, 1, 2], np.float32)


class Old(Pair):
    """The older gym's ways: no seed, no info at reset, four results."""

    def reset(self):
        return super().reset()[0]

    def step(self, actions):
        obs, reward, terminated, _, info = super().step(actions)
        return obs, reward, [terminated, terminated], {**info, "TimeLimit.truncated": False}


gymnasium.register("ddn-test/Pair-v0", Pair)
gymnasium.register("ddn-test/Old-v0", Old, order_enforce=False)
PAIR = "gym:ddn-test/Pair-v0"


class GymTest(unittest.TestCase):
    def test_unlike_agents_are_padded_and_masked(self):
        adapter = opened(PAIR, reward="sum")
        spec = adapter.spec
        self.assertEqual((spec.obs_dim, spec.state_dim, len(spec.actions), spec.episode_limit), (3, 3, 3, 5))
        seen = episode(adapter, 0)
        self.assertEqual([f[0] for _, f in seen[:2]], [[[0, 0, 0], [1, 0, 0]], [[1, 1, 0], [0, 1, 0]]])
        self.assertEqual([f[2] for _, f in seen[:2]], [[[1, 0, 0], [1, 1, 0]], [[1, 1, 0], [1, 1, 0]]])
        last = [[[3, 3, 0], [1, 0, 0]], [3, 1, 2], [[1, 1, 0], [1, 1, 0]], [1, 1]]
        self.assertEqual(seen[-1], ((3.0, True, False, True), last))
        out = frame(spec)
        adapter.reset(0, out)
        adapter.step([1, 2], out)
        self.assertEqual(adapter.env.unwrapped.asked, (1, 3))

    def test_flags_for_the_team_and_for_each_agent(self):
        cases = [
            (True, False, 3, (True, False)),
            (np.True_, np.False_, 3, (True, False)),
            (False, True, 3, (False, True)),
            (True, True, 3, (True, False)),
            ([True, True], [False, False], 3, (True, False)),
            ([True, False], [False, True], 3, (False, True)),
            ([True, False], [False, False], 5, (False, True)),
            ([True, False], False, 5, (False, True)),
        ]
        for terminated, truncated, steps, how in cases:
            args = {"terminated": terminated, "truncated": truncated}
            seen = episode(opened(PAIR, reward="mean", args=args), 0)
            self.assertEqual((len(seen) - 1, seen[-1][0][1:3]), (steps, how), args)
            self.assertEqual(seen[-1][0][0], 1.5)

    def test_rewards(self):
        with self.assertRaisesRegex(ConfigError, '^reward: .*"sum" or "mean"'):
            opened(PAIR)
        self.assertEqual(episode(opened(PAIR, args={"reward": 2.5}), 0)[1][0][0], 2.5)

    def test_the_older_ways(self):
        adapter = opened("gym:ddn-test/Old-v0", reward="sum")
        self.assertFalse(adapter.spec.seeded)
        seen = episode(adapter, 0)
        self.assertEqual((len(seen) - 1, seen[-1][0]), (3, (3.0, True, False, True)))

    def test_a_slip_of_shape_names_the_agent(self):
        adapter = opened(PAIR, reward="sum", args={"slip": True})
        with self.assertRaisesRegex(ContractError, "agent 'agent_0' \\(0\\): observation has 1 values"):
            adapter.reset(0, frame(adapter.spec))

    def test_refusals(self):
        with self.assertRaisesRegex(ConfigError, "^env: no environment 'Nix-v1' .*gym:MODULE:ID"):
            opened("gym:Nix-v1", state="concat")
        with self.assertRaisesRegex(ConfigError, "^env: its observation space is a Box"):
            opened("gym:CartPole-v1", state="concat")
        with self.assertRaisesRegex(ConfigError, "^args: .*'nix'"):
            opened(PAIR, reward="sum", args={"nix": 1})

    def test_foraging(self):
        name = "gym:lbforaging:Foraging-8x8-2p-3f-v3"
        with self.assertRaisesRegex(ConfigError, '^state: .*state = "concat"'):
            opened(name, reward="sum")
        with self.assertRaisesRegex(ConfigError, "^reward: "):
            opened(name, state="concat")
        self.plays(name, agents=2, obs=15, actions=6, limit=50)

    def test_warehouse(self):
        self.plays("gym:rware:rware-tiny-2ag-v2", agents=2, obs=71, actions=5, limit=500)

    def plays(self, name, agents, obs, actions, limit):
        adapter = opened(name, reward="sum", state="concat")
        spec = adapter.spec
        self.assertEqual((len(spec.agents), spec.obs_dim, len(spec.actions)), (agents, obs, actions))
        self.assertEqual((spec.episode_limit, spec.state_dim, spec.seeded), (limit, agents * obs, True))
        first = episode(adapter, 21)
        self.assertLessEqual(len(first) - 1, limit)
        self.assertEqual(first, episode(adapter, 21, dirt=9.0))
        self.assertNotEqual(first[0], episode(adapter, 22)[0])
        short = episode(opened(name, reward="sum", state="concat", episode_limit=7), 21)
        self.assertEqual(short[-1][0][1:3], (False, True))
        self.assertEqual([f for _, f in short], [f for _, f in first[:8]])


if __name__ == "__main__":
    unittest.main()
