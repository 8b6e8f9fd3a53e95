"""`pettingzoo:MODULE`: PettingZoo's parallel environments, and its turn-based ones that can be played in parallel.

MODULE has a `parallel_env` (as `mpe2.simple_spread_v3` has), or only an `env`, or is the class itself
(`my_module.MyParallelEnv`). Agents keep their slot in `possible_agents`. One that is not in `agents` is dead: its
observation is 0, only its action 0 is available, and that is not passed on.
"""

from typing import Dict, List, Optional, Set

import numpy as np

from .adapter import Adapter, ConfigError, Options, Out, Spec, StepResult
from .imports import construct, load_module, load_object, versions
from .limits import episode_limit, own_limit
from .outcome import won
from .rewards import PER_AGENT
from .rows import Rows, copy_mask, copy_state
from .spaces import kind, team_actions


class PettingZooAdapter(Adapter):
    """Wraps one parallel environment."""

    def __init__(self, name: str, options: Options, index: int) -> None:
        self.env = env = _parallel(name, options)
        if options.reward == "team":
            raise ConfigError("reward", PER_AGENT)
        self.names: List[str] = list(env.possible_agents)
        self.count = len(self.names)
        self.mean = options.reward == "mean"

        spaces = [env.observation_space(agent) for agent in self.names]
        self.masked = [_has_mask(space) for space in spaces]
        self.rows = Rows(self.names, [s.spaces["observation"] if m else s for s, m in zip(spaces, self.masked)])
        actions, self.moves = team_actions([env.action_space(agent) for agent in self.names], options.discretise)
        self.arrays = any(isinstance(moves[0], np.ndarray) for moves in self.moves)
        self.own = np.zeros((self.count, len(actions)), dtype=np.uint8)
        for slot, moves in enumerate(self.moves):
            self.own[slot, : len(moves)] = 1

        self.everyone = list(range(self.count))
        self.living = self.everyone
        self.gone: Set[str] = set()  # who has ended in this episode; nobody comes back
        self.joined = options.state == "concat"
        self.spec = Spec(
            agents=[str(agent) for agent in self.names],
            actions=actions,
            obs_dim=self.rows.width,
            state_dim=self.count * self.rows.width if self.joined else _state_size(env),
            episode_limit=episode_limit(options, own_limit(env, options)),
            seeded=True,
            saves=False,
            versions=versions(name),
        )

    def start(self, seed: int, out: Out) -> None:
        obs, infos = self.env.reset(seed=seed)
        agents = self.env.agents
        self.gone.clear()
        self.living = [slot for slot in self.everyone if self.names[slot] in agents]
        self._write(obs, infos, self.living, out)
        self._write_state(out)

    def advance(self, actions: List[int], out: Out) -> StepResult:
        names, before = self.names, self.living
        choice = {names[slot]: self.moves[slot][actions[slot]] for slot in before}
        if self.arrays:
            choice = {name: np.copy(move) if isinstance(move, np.ndarray) else move for name, move in choice.items()}
        obs, rewards, terminations, truncations, infos = self.env.step(choice)

        reward = 0.0
        for name in names:
            reward += float(rewards.get(name, 0.0))
        if self.mean:
            reward /= self.count

        agents = self.env.agents
        if len(agents) != len(before) or any(terminations.values()) or any(truncations.values()):
            self.gone.update(name for name in names if terminations.get(name) or truncations.get(name))
            self.living = [s for s in self.everyone if names[s] in agents and names[s] not in self.gone]
        if self.living:
            self._write(obs, infos, self.living, out)
            self._write_state(out)
            return reward, False, False, None

        # Agents that were only cut off are shown alive once more: their last observation still has a value.
        cut = [s for s in before if truncations.get(names[s]) and not terminations.get(names[s])]
        self._write(obs, infos, cut, out)
        self._write_last_state(out, bool(cut))
        return reward, not cut, bool(cut), _won(infos)

    def render(self) -> str:
        if getattr(self.env, "render_mode", None) != "ansi":
            return ""
        return str(self.env.render() or "")

    def close(self) -> None:
        self.env.close()

    def _write(self, obs: Dict, infos: Dict, living: List[int], out: Out) -> None:
        """Writes the frame of the agents in the slots `living`; the others are dead."""
        dead = len(living) < self.count
        if dead or self.rows.padded:
            out.obs.fill(0.0)
        out.available[...] = self.own
        out.alive.fill(1)
        if dead:
            out.alive.fill(0)
            out.alive[living] = 1
            out.available[out.alive == 0, 1:] = 0
        cells = self.rows.cells(out)
        for slot in living:
            name = self.names[slot]
            value = obs.get(name)
            if value is None:
                raise self.rows.slip(slot, "is alive, but has no observation")
            if self.masked[slot]:
                mask = value["action_mask"]
                value = value["observation"]
            else:
                info = infos.get(name)
                mask = info.get("action_mask") if info else None
            row, write = cells[slot]
            try:
                write(row, value)
                if mask is not None:
                    copy_mask(mask, out.available[slot, : len(self.moves[slot])])
            except ValueError as error:
                raise self.rows.slip(slot, error) from None

    def _write_state(self, out: Out) -> None:
        if self.joined:
            out.state[:] = out.obs.reshape(-1)
        else:
            copy_state(self.env.state(), out.state)

    def _write_last_state(self, out: Out, needed: bool) -> None:
        """As `_write_state`; where nobody is left, many environments have no state: then it is 0, unless `needed`."""
        try:
            self._write_state(out)
        except Exception:
            if needed:
                raise
            out.state.fill(0.0)


def _parallel(name: str, options: Options) -> object:
    """Makes the parallel environment of the module, or of the class, `name`."""
    module = load_object(name) if "." in name else load_module(name)
    if callable(module):
        made = construct(module, options.args)
        if not hasattr(made, "possible_agents"):
            raise ConfigError("env", f"'{name}' is no parallel environment of PettingZoo")
        return made
    if hasattr(module, "parallel_env"):
        return construct(module.parallel_env, options.args)
    if not hasattr(module, "env"):
        raise ConfigError("env", f"module '{name}' has neither `parallel_env` nor `env`")
    turns = construct(module.env, options.args)
    if not getattr(turns, "metadata", {}).get("is_parallelizable", False):
        raise ConfigError("env", f"'{name}' is played in turns, and does not say that it can be played in parallel")
    return load_module("pettingzoo.utils.conversions").aec_to_parallel(turns)


def _has_mask(space: object) -> bool:
    return kind(space) == "Dict" and {"observation", "action_mask"} <= set(space.spaces)


def _state_size(env: object) -> int:
    """How many values `env.state()` has, found by resetting once."""
    env.reset(seed=0)
    try:
        return int(np.size(env.state()))
    except (AttributeError, NotImplementedError):
        raise ConfigError("state", 'this environment has no state of its own; set state = "concat"') from None


def _won(infos: Dict) -> Optional[bool]:
    """The first agent's word on it."""
    for info in infos.values():
        said = won(info) if info else None
        if said is not None:
            return said
    return None
