import unittest

import numpy as np

from ddn_env.adapter import ConfigError, ContractError

from .playing import copied, episode, frame, module, opened

MEET = "class:ddn_env.template.Meet"


class Full:
    """Everything optional is there: the second agent dies at step 2, actions depend on the step."""

    n_agents, obs_dim, state_dim, episode_limit = 2, 3, 4, 5
    actions = ("wait", "go")
    agents = ["left", "right"]

    def __init__(self, reward=1.0, extra=()):
        self.reward, self.extra = reward, extra

    def reset(self, seed):
        self.time = 0
        return self.observe()

    def observe(self):
        return np.full((2, 3), self.time, np.float32)

    def step(self, actions):
        self.time += 1
        return (self.observe(), self.reward, self.time == 4, *self.extra)

    def state(self):
        return [self.time] * 4

    def alive(self):
        return [True, self.time < 2]

    def available(self):
        return [[1, self.time % 2], [1, 0]]


class Plain:
    """Only what must be there; observations come from outside."""

    n_agents, n_actions, obs_dim, episode_limit = 2, 2, 3, 3

    def __init__(self, obs=((1, 2, 3), (4, 5, 6)), result=None):
        self.obs, self.result = obs, result

    def reset(self, seed):
        return self.obs

    def step(self, actions):
        return self.result or (self.obs, 0.5, False)


module("own", Full=Full, Plain=Plain)


class ClassTest(unittest.TestCase):
    def test_the_template_plays_and_is_seeded(self):
        adapter = opened(MEET, state="concat")
        self.assertEqual(adapter.spec.actions, ["stay", "left", "right"])
        self.assertEqual(adapter.spec.state_dim, 4)
        self.assertEqual(episode(adapter, 5), episode(adapter, 5, dirt=9.0))
        starts = {str(episode(adapter, seed)[0]) for seed in range(20)}
        self.assertGreater(len(starts), 5)

    def test_the_template_can_be_won_and_says_so(self):
        adapter = opened(MEET, state="concat")
        out = frame(adapter.spec)
        for seed in range(20):
            adapter.reset(seed, out)
            for _ in range(12):
                actions = [2 if side > 0 else 1 if i == 0 else 0 for i, side in enumerate(out.obs[:, 1])]
                actions[1] = 0
                result = adapter.step(actions, out)
                if result[1]:
                    break
            self.assertEqual(result, (1.0, True, False, True))

    def test_a_saved_episode_goes_on_as_it_did(self):
        adapter = opened(MEET, state="concat", episode_limit=6)
        out = frame(adapter.spec)
        adapter.reset(3, out)
        adapter.step([2, 2], out)
        saved, shown = adapter.save(), copied(out)
        first = [adapter.step([0, 0], out) for _ in range(5)]
        adapter.load(saved, out)
        self.assertEqual(copied(out), shown)
        self.assertEqual([adapter.step([0, 0], out) for _ in range(5)], first)
        self.assertTrue(first[-1][2], "the limit counts the steps before the save")

    def test_foreign_bytes_are_refused(self):
        adapter = opened(MEET, state="concat")
        out = frame(adapter.spec)
        adapter.reset(3, out)
        saved = adapter.save()
        for foreign in (b"", b"x" * len(saved), saved[:-1], saved + b"x"):
            with self.assertRaises(ValueError):
                adapter.load(foreign, out)

    def test_a_class_without_save_says_so(self):
        adapter = opened("class:own.Plain", state="concat")
        out = frame(adapter.spec)
        adapter.reset(0, out)
        self.assertFalse(adapter.spec.saves)
        with self.assertRaises(NotImplementedError):
            adapter.save()
        with self.assertRaises(NotImplementedError):
            adapter.load(b"x" * 20, out)

    def test_optional_methods_are_asked_at_every_frame(self):
        adapter = opened("class:own.Full")
        self.assertEqual(adapter.spec.agents, ["left", "right"])
        seen = episode(adapter, 0)
        self.assertEqual([f[3] for _, f in seen], [[1, 1], [1, 1], [1, 0], [1, 0], [1, 0]])
        self.assertEqual([f[2][0] for _, f in seen], [[1, 0], [1, 1], [1, 0], [1, 1], [1, 0]])
        self.assertEqual([f[1] for _, f in seen], [[t] * 4 for t in range(5)])
        self.assertEqual(seen[-1][0], (1.0, True, False, None))

    def test_each_length_of_result(self):
        ends = {}
        for extra in ((), (True,), ({"won": True},), (True, {"won": False})):
            adapter = opened("class:own.Full", args={"extra": extra})
            ends[str(extra)] = episode(adapter, 0)[-1][0]
        self.assertEqual(
            list(ends.values()),
            [(1.0, True, False, None), (1.0, False, True, None), (1.0, True, False, True), (1.0, False, True, False)],
        )

    def test_the_limit_truncates_and_a_smaller_one_earlier(self):
        for limit, steps in ((0, 3), (2, 2), (9, 9)):
            seen = episode(opened("class:own.Plain", state="concat", episode_limit=limit), 0)
            self.assertEqual(len(seen) - 1, steps)
            self.assertEqual(seen[-1][0], (0.5, False, True, None))

    def test_rewards_of_agents_need_a_word(self):
        for how, expected in (("sum", 4.0), ("mean", 2.0)):
            adapter = opened("class:own.Full", args={"reward": [1.0, 3.0]}, reward=how)
            self.assertEqual(episode(adapter, 0)[-1][0][0], expected)
        with self.assertRaisesRegex(ConfigError, '^reward: .*"sum" or "mean"'):
            episode(opened("class:own.Full", args={"reward": [1.0, 3.0]}), 0)
        with self.assertRaisesRegex(ContractError, "3 values, there are 2 agents"):
            episode(opened("class:own.Full", args={"reward": [1, 2, 3]}, reward="sum"), 0)

    def test_slips_of_shape_name_the_agent(self):
        cases = {
            "agent 'agent_1' \\(1\\): observation has 2 values, promised were 3": [[1, 2, 3], [4, 5]],
            "agent 'agent_0' \\(0\\): observation has 4 values": [[1, 2, 3, 4], [1, 2, 3, 4]],
            "observations are of 3 agents, promised were 2": [[1, 2, 3]] * 3,
            "observations are of 0 agents": None,
        }
        for message, obs in cases.items():
            adapter = opened("class:own.Plain", state="concat", args={"obs": obs})
            with self.assertRaisesRegex(ContractError, message):
                adapter.reset(0, frame(adapter.spec))

    def test_what_the_class_must_say(self):
        with self.assertRaisesRegex(ConfigError, 'state: .*state = "concat"'):
            opened("class:own.Plain")
        with self.assertRaisesRegex(ConfigError, "args: .*unexpected keyword argument 'nix'"):
            opened("class:own.Plain", args={"nix": 1})
        module("lacking", Nothing=type("Nothing", (), {}))
        with self.assertRaisesRegex(ContractError, "attribute `n_agents` must be a number above 0, it is None"):
            opened("class:lacking.Nothing")
        for limit in (None, 0, float("inf"), "10"):
            module("endless", Endless=type("Endless", (Plain,), {"episode_limit": limit}))
            with self.assertRaisesRegex(ConfigError, "^episode_limit: "):
                opened("class:endless.Endless", state="concat")
        with self.assertRaisesRegex(ContractError, "step\\(\\) gave 2 things"):
            episode(opened("class:own.Plain", state="concat", args={"result": (1, 2)}), 0)

    def test_only_one_bool_ends_an_episode(self):
        for end in ([False, False], {"a": False}, "no", None):
            result = (((1, 2, 3), (4, 5, 6)), 0.0, end)
            adapter = opened("class:own.Plain", args={"result": result}, state="concat")
            out = frame(adapter.spec)
            adapter.reset(1, out)
            with self.assertRaisesRegex(ContractError, "^terminated is .*; give one bool for the team"):
                adapter.step([0, 0], out)


if __name__ == "__main__":
    unittest.main()
