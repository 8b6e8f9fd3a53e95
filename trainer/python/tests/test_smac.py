import random
import unittest

import numpy as np

from ddn_env.adapter import ConfigError, ContractError, Options
from ddn_env.registry import open_env

from .playing import episode, frame, module, opened


class Battle:
    """SMAC's ways: agent 1 dies at step 2; at step `end` the battle is over."""

    n_actions_no_attack = 6

    def __init__(self, end=4, won=True, info=None, seed=0, width=8, limit=6):
        self.end, self.won, self.info, self.seed, self.width, self.limit = end, won, info or {}, seed, width, limit

    def get_env_info(self):
        return {"n_agents": 2, "n_actions": 8, "obs_shape": 3, "state_shape": 4, "episode_limit": self.limit}

    def reset(self):
        self.time = 0
        return self.get_obs(), self.get_state()

    def get_obs(self):
        return [np.full(3, self.time + slot, np.float64) for slot in range(2)]

    def get_state(self):
        return np.full(4, self.time, np.float32)

    def get_avail_actions(self):
        living, dead = [0] + [1] * (self.width - 1), [1] + [0] * (self.width - 1)
        return [living, living if self.time < 2 else dead]

    def step(self, actions):
        self.time += 1
        assert all(type(action) is int for action in actions)
        over = self.time >= self.end
        return 1.5, over, {"battle_won": over and self.won, **(self.info if over else {})}

    def close(self):
        pass


class New(Battle):
    """Gymnasium's five results, a seed at reset, and masks one agent at a time."""

    get_avail_actions = None

    def reset(self, seed=None, options=None):
        self.luck = random.Random(seed)
        return super().reset()[0], {}

    def get_state(self):
        return np.full(4, self.luck.random(), np.float32)

    def get_avail_agent_actions(self, slot):
        return Battle.get_avail_actions(self)[slot]

    def step(self, actions):
        reward, over, info = super().step(actions)
        return self.get_obs(), reward, False, over, info


class Lite:
    """No get_env_info and no get_obs: sizes are attributes, observations come with reset and step."""

    n_agents, n_actions, obs_size, state_size = 2, 7, 3, 4

    def __init__(self, inner=None):
        self.battle = Battle(width=7)
        self.unwrapped = self

    def reset(self, seed=None, return_info=False):
        self.battle.reset()
        return tuple(self.battle.get_obs())

    def get_state(self):
        return self.battle.get_state()

    def get_avail_actions(self):
        return self.battle.get_avail_actions()

    def step(self, actions):
        reward, over, info = self.battle.step(actions)
        return tuple(self.battle.get_obs()), reward, over, {}

    def close(self):
        pass


class Wrapped:
    """A wrapper that hides the methods, as Gymnasium's do."""

    def __init__(self, id):
        self.unwrapped = Lite()


module("fake_smac", Battle=Battle, New=New, Lite=Lite, make=Wrapped, REGISTRY={"battle": Battle})


class SmacTest(unittest.TestCase):
    def test_the_older_step(self):
        adapter = opened("smac:fake_smac.Battle")
        spec = adapter.spec
        self.assertEqual((spec.obs_dim, spec.state_dim, spec.episode_limit, spec.seeded), (3, 4, 6, False))
        self.assertEqual(spec.actions[4:], ["east", "west", "attack 0", "attack 1"])
        seen = episode(adapter, 0)
        self.assertEqual([r for r, _ in seen[1:]], [(1.5, False, False, None)] * 3 + [(1.5, True, False, True)])
        self.assertEqual([f[3] for _, f in seen], [[1, 1], [1, 1], [1, 0], [1, 0], [1, 0]])
        self.assertEqual(seen[2][1], [[[2] * 3, [3] * 3], [2] * 4, [[0] + [1] * 7, [1] + [0] * 7], [1, 0]])

    def test_the_time_limit_is_as_the_environment_says(self):
        lost = opened("smac:fake_smac.Battle", args={"won": False})
        self.assertEqual(episode(lost, 0)[-1][0], (1.5, True, False, False))
        cut = opened("smac:fake_smac.Battle", args={"won": False, "info": {"episode_limit": True}})
        self.assertEqual(episode(cut, 0)[-1][0], (1.5, False, True, False))
        shorter = opened("smac:fake_smac.Battle", episode_limit=2)
        results = [r for r, _ in episode(shorter, 0)[1:]]
        self.assertEqual(results, [(1.5, False, False, None), (1.5, False, True, False)])

    def test_the_newer_step(self):
        adapter = opened("smac:fake_smac.New")
        self.assertTrue(adapter.spec.seeded)
        seen = episode(adapter, 3)
        self.assertEqual(seen[-1][0], (1.5, False, True, True))
        self.assertEqual(seen, episode(adapter, 3, dirt=9.0))
        self.assertNotEqual(seen[0], episode(adapter, 4)[0])

    def test_observations_that_come_with_the_step(self):
        for name in ("smac:fake_smac.Lite", "smac:fake_smac.make"):
            args = {"id": "x"} if name.endswith("make") else {}
            with self.assertRaisesRegex(ConfigError, "^episode_limit: "):
                opened(name, args=args)
            seen = episode(opened(name, args=args, episode_limit=9), 0)
            self.assertEqual([f[0][1] for _, f in seen], [[t + 1] * 3 for t in range(5)])
            self.assertEqual(seen[-1][0], (1.5, True, False, None))

    def test_a_seed_among_the_arguments_is_raised_by_the_index(self):
        for index in (0, 3):
            adapter = open_env(Options("smac:fake_smac.REGISTRY.battle", args={"seed": 40}), index)
            self.assertEqual(adapter.env.seed, 40 + index)

    def test_joined_observations_as_state(self):
        adapter = opened("smac:fake_smac.Battle", state="concat")
        self.assertEqual(adapter.spec.state_dim, 6)
        self.assertEqual(episode(adapter, 0)[1][1][1], [1, 1, 1, 2, 2, 2])

    def test_slips_name_the_agent(self):
        adapter = opened("smac:fake_smac.Battle", args={"width": 7})
        slip = "agent 'agent_0' \\(0\\): available actions have 7 values, promised were 8"
        with self.assertRaisesRegex(ContractError, slip):
            adapter.reset(0, frame(adapter.spec))
        with self.assertRaisesRegex(ConfigError, "does not say its `n_agents`"):
            opened("smac:builtins.object")


if __name__ == "__main__":
    unittest.main()
