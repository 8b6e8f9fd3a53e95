import unittest

import numpy as np
from pettingzoo import AECEnv

from ddn_env.adapter import ConfigError, ContractError

from .playing import Box, Dict_, Discrete, box, episode, frame, module, opened


class Fake:
    """Three agents with observations [time, slot]; `ends` says at which step an agent ends, and how."""

    possible_agents = ["a", "b", "c"]

    def __init__(self, ends=None, tidy=True, masks="", start=0, max_cycles=6, size=2, continuous=False):
        self.ends, self.tidy, self.masks, self.start = ends or {}, tidy, masks, start
        self.max_cycles, self.size, self.continuous = max_cycles, size, continuous

    def observation_space(self, agent):
        if self.masks == "obs":
            return Dict_({"observation": box(2), "action_mask": box(3)})
        return box(2)

    def action_space(self, agent):
        if self.continuous:
            return Box(np.array([-1.0]), np.array([1.0]), (1,))
        return Discrete(3, self.start)

    def observe(self, agent):
        obs = np.array([self.time, self.possible_agents.index(agent) + 1.0], np.float32)[: self.size]
        return {"observation": obs, "action_mask": self.mask()} if self.masks == "obs" else obs

    def mask(self):
        return np.array([1, 0, self.time % 2], np.int8)

    def infos(self):
        return {a: {"action_mask": self.mask()} if self.masks == "info" else {} for a in self.agents}

    def reset(self, seed=None, options=None):
        self.time, self.agents, self.asked = 0, list(self.possible_agents), []
        return {a: self.observe(a) for a in self.agents}, self.infos()

    def step(self, actions):
        self.time += 1
        self.asked.append(actions)
        agents = list(self.agents)
        terminations = {a: self.ends.get(a) == (self.time, "terminated") for a in agents}
        truncations = {a: self.ends.get(a) == (self.time, "truncated") or self.time >= self.max_cycles for a in agents}
        obs, infos = {a: self.observe(a) for a in agents}, self.infos()
        over = [a for a in agents if terminations[a] or truncations[a]]
        if self.tidy or len(over) == len(agents):
            self.agents = [a for a in agents if a not in over]
        return obs, {a: 1.0 for a in agents}, terminations, truncations, infos

    def close(self):
        pass


class Stated(Fake):
    """Its state does not outlive its agents."""

    def state(self):
        return np.array([[self.time], [len(self.agents) / (self.time + 1) if self.agents else 1 / 0]], np.float64)


class Turns(AECEnv):
    """Played in turns: each agent sees how many rounds there were; ends after three."""

    metadata = {"is_parallelizable": True, "name": "turns"}
    render_mode = None
    max_cycles = 3

    def __init__(self):
        super().__init__()
        self.possible_agents = ["x", "y"]

    def observation_space(self, agent):
        return box(1)

    def action_space(self, agent):
        return Discrete(2)

    def observe(self, agent):
        return np.array([self.rounds], np.float32)

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        self.rounds, self.agent_selection = 0, "x"
        self.rewards = self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos = {a: {} for a in self.agents}

    def step(self, action):
        if self.terminations[self.agent_selection] or self.truncations[self.agent_selection]:
            return self._was_dead_step(action)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        if self.agent_selection == "y":
            self.rounds += 1
            self.rewards = dict.fromkeys(self.agents, 1.0)
            self.truncations = dict.fromkeys(self.agents, self.rounds == 3)
        self.agent_selection = "y" if self.agent_selection == "x" else "x"


class OneByOne(Turns):
    metadata = {"is_parallelizable": False, "name": "one by one"}


module("fake_zoo", parallel_env=Fake, Stated=Stated)
module("fake_turns", env=Turns)
module("fake_one_by_one", env=OneByOne)
module("fake_nothing")


def fake(**args):
    return opened("pettingzoo:fake_zoo", reward="sum", state="concat", args=args)


class PettingZooTest(unittest.TestCase):
    def test_dead_agents_have_nothing_and_are_not_asked(self):
        for tidy in (True, False):
            adapter = fake(ends={"b": (2, "terminated"), "c": (3, "truncated")}, tidy=tidy)
            seen = episode(adapter, 1)
            self.assertEqual([f[3] for _, f in seen], [[1, 1, 1], [1, 1, 1], [1, 0, 1]] + [[1, 0, 0]] * 4)
            self.assertEqual(seen[2][1][0], [[2, 1], [0, 0], [2, 3]])
            self.assertEqual(seen[2][1][2], [[1, 1, 1], [1, 0, 0], [1, 1, 1]])
            asked = [sorted(actions) for actions in adapter.env.asked[:4]]
            self.assertEqual(asked, [["a", "b", "c"]] * 2 + [["a", "c"], ["a"]])
            if tidy:
                self.assertEqual([r[0] for r, _ in seen[1:]], [3.0, 3.0, 2.0, 1.0, 1.0, 1.0])

    def test_terminated_and_truncated_are_kept_apart(self):
        cases = [
            ({"a": (2, "terminated"), "b": (2, "terminated"), "c": (2, "terminated")}, (True, False), [0, 0, 0]),
            ({"a": (2, "truncated"), "b": (2, "truncated"), "c": (2, "truncated")}, (False, True), [1, 1, 1]),
            ({"a": (2, "terminated"), "b": (2, "truncated"), "c": (2, "terminated")}, (False, True), [0, 1, 0]),
            ({"a": (1, "truncated"), "b": (2, "terminated"), "c": (2, "terminated")}, (True, False), [0, 0, 0]),
            ({"a": (1, "terminated"), "b": (2, "truncated"), "c": (2, "truncated")}, (False, True), [0, 1, 1]),
        ]
        for ends, how, alive in cases:
            seen = episode(fake(ends=ends), 0)
            self.assertEqual(len(seen), 3)
            self.assertEqual(seen[-1][0][1:3], how, ends)
            self.assertEqual(seen[-1][1][3], alive, ends)

    def test_a_cut_episode_shows_its_last_observations(self):
        result, (obs, state, available, alive) = episode(fake(max_cycles=4), 0)[-1]
        self.assertEqual(result, (3.0, False, True, None))
        self.assertEqual(obs, [[4, 1], [4, 2], [4, 3]])
        self.assertEqual(state, [4, 1, 4, 2, 4, 3])

    def test_the_limit_of_the_config_cuts_earlier(self):
        adapter = opened("pettingzoo:fake_zoo", reward="mean", state="concat", episode_limit=2)
        seen = episode(adapter, 0)
        self.assertEqual([r for r, _ in seen[1:]], [(1.0, False, False, None), (1.0, False, True, None)])
        self.assertEqual(seen[-1][1][3], [1, 1, 1])

    def test_masks_in_info_and_in_observations(self):
        for masks in ("info", "obs"):
            seen = episode(fake(masks=masks), 0)
            self.assertEqual([f[2] for _, f in seen[:2]], [[[1, 0, 0]] * 3, [[1, 0, 1]] * 3], masks)
            self.assertEqual(seen[1][1][0], [[1, 1], [1, 2], [1, 3]], masks)

    def test_actions_start_where_the_space_starts(self):
        adapter = fake(start=5)
        adapter.reset(0, frame(adapter.spec))
        adapter.step([0, 1, 2], frame(adapter.spec))
        self.assertEqual(adapter.env.asked, [{"a": 5, "b": 6, "c": 7}])

    def test_continuous_actions_are_refused_or_gridded(self):
        with self.assertRaisesRegex(ConfigError, "^discretise: .*1 continuous axis, from -1 to 1; `discretise = 3`"):
            fake(continuous=True)
        adapter = opened("pettingzoo:fake_zoo", args={"continuous": True}, reward="sum", state="concat", discretise=3)
        self.assertEqual(adapter.spec.actions, ["-1", "0", "1"])
        out = frame(adapter.spec)
        adapter.reset(0, out)
        adapter.step([0, 1, 2], out)
        given = adapter.env.asked[0]
        self.assertEqual({a: move.tolist() for a, move in given.items()}, {"a": [-1.0], "b": [0.0], "c": [1.0]})
        given["a"][0] = 9.0
        adapter.step([0, 1, 2], out)
        self.assertEqual(adapter.env.asked[1]["a"].tolist(), [-1.0])

    def test_the_environments_own_state(self):
        ends = {"a": (2, "terminated"), "b": (2, "terminated"), "c": (2, "terminated")}
        adapter = opened("pettingzoo:fake_zoo.Stated", reward="sum", args={"ends": ends})
        seen = episode(adapter, 0)
        self.assertEqual([f[1] for _, f in seen], [[0.0, 3.0], [1.0, 1.5], [0.0, 0.0]])
        cut = opened("pettingzoo:fake_zoo.Stated", reward="sum", args={"max_cycles": 2})
        with self.assertRaises(ZeroDivisionError):
            episode(cut, 0)

    def test_what_a_config_must_say(self):
        with self.assertRaisesRegex(ConfigError, '^state: .*state = "concat"'):
            opened("pettingzoo:fake_zoo", reward="sum")
        with self.assertRaisesRegex(ConfigError, '^reward: .*"sum" or "mean"'):
            opened("pettingzoo:fake_zoo", state="concat")
        with self.assertRaisesRegex(ConfigError, "^episode_limit: "):
            fake(max_cycles=None)
        with self.assertRaisesRegex(ConfigError, "neither `parallel_env` nor `env`"):
            opened("pettingzoo:fake_nothing", reward="sum")

    def test_a_slip_of_shape_names_the_agent(self):
        adapter = fake(size=1)
        with self.assertRaisesRegex(ContractError, "agent 'a' \\(0\\): observation has 1 values, the space promised 2"):
            adapter.reset(0, frame(adapter.spec))

    def test_environments_of_turns(self):
        adapter = opened("pettingzoo:fake_turns", reward="sum", state="concat")
        seen = episode(adapter, 0)
        self.assertEqual([r for r, _ in seen[1:]], [(2.0, False, False, None)] * 2 + [(2.0, False, True, None)])
        self.assertEqual([f[0] for _, f in seen], [[[t], [t]] for t in (0, 1, 2, 3)])
        with self.assertRaisesRegex(ConfigError, "is played in turns"):
            opened("pettingzoo:fake_one_by_one", reward="sum", state="concat")


class MpeTest(unittest.TestCase):
    def test_simple_spread(self):
        adapter = opened("pettingzoo:mpe2.simple_spread_v3", reward="mean")
        spec = adapter.spec
        self.assertEqual((len(spec.agents), spec.obs_dim, spec.state_dim, len(spec.actions)), (3, 18, 54, 5))
        self.assertEqual((spec.episode_limit, spec.seeded, spec.saves), (25, True, False))
        self.assertIn("mpe2", spec.versions)
        first = episode(adapter, 11)
        self.assertEqual(len(first), 26)
        self.assertEqual(first[-1][0][1:3], (False, True))
        self.assertEqual(first, episode(adapter, 11, dirt=9.0))
        self.assertEqual(first, episode(opened("pettingzoo:mpe2.simple_spread_v3", reward="mean"), 11))
        self.assertNotEqual(first[0], episode(adapter, 12)[0])
        joined = episode(opened("pettingzoo:mpe2.simple_spread_v3", reward="mean", state="concat"), 11)
        self.assertEqual(first, joined)

    def test_its_arguments_reach_it(self):
        adapter = opened("pettingzoo:mpe2.simple_spread_v3", reward="sum", args={"N": 4, "max_cycles": 7})
        self.assertEqual((len(adapter.spec.agents), adapter.spec.episode_limit), (4, 7))
        self.assertEqual(len(episode(adapter, 0)), 8)
        with self.assertRaisesRegex(ConfigError, "^args: .*'colour'"):
            opened("pettingzoo:mpe2.simple_spread_v3", reward="sum", args={"colour": 1})

    def test_speaker_and_listener_are_padded(self):
        adapter = opened("pettingzoo:mpe2.simple_speaker_listener_v4", reward="sum")
        spec = adapter.spec
        self.assertEqual((spec.agents, spec.obs_dim, spec.state_dim), (["speaker_0", "listener_0"], 11, 14))
        for _, (obs, _, available, alive) in episode(adapter, 4):
            self.assertEqual(obs[0][3:], [0.0] * 8)
            self.assertEqual(available, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
            self.assertEqual(alive, [1, 1])

    def test_continuous_spread_on_a_grid(self):
        name, args = "pettingzoo:mpe2.simple_spread_v3", {"continuous_actions": True}
        with self.assertRaisesRegex(ConfigError, "5 continuous axes, each from 0 to 1"):
            opened(name, reward="sum", args=args)
        adapter = opened(name, reward="sum", args=args, discretise=3)
        self.assertEqual(len(adapter.spec.actions), 243)
        self.assertEqual(episode(adapter, 1), episode(adapter, 1))


if __name__ == "__main__":
    unittest.main()
