"""`gym:ID`: environments registered with Gymnasium (or the older gym) whose spaces are tuples with one part per agent.

`gym:MODULE:ID` imports MODULE first, which is what registers most of them: `gym:lbforaging:Foraging-8x8-2p-3f-v3`,
`gym:rware:rware-tiny-2ag-v2`.
"""

import importlib.util
import inspect
from functools import partial
from typing import List, Tuple

import numpy as np

from .adapter import Adapter, ConfigError, ContractError, Options, Out, Spec, StepResult
from .imports import construct, load_module, versions
from .limits import episode_limit, own_limit
from .outcome import won
from .rewards import PER_AGENT, team_reward
from .rows import Rows, copy_mask, copy_state
from .spaces import kind, team_actions


class GymAdapter(Adapter):
    """Wraps one environment. Every agent lives to the end."""

    def __init__(self, name: str, options: Options, index: int) -> None:
        module, _, ident = name.rpartition(":")
        if module:
            load_module(module)
        self.env = env = _make(ident, options.args)
        spaces = _per_agent(env.observation_space, "observation")
        choices = _per_agent(env.action_space, "action")
        if len(spaces) != len(choices):
            raise ContractError(f"{len(spaces)} observation spaces, but {len(choices)} action spaces")
        self.count = len(spaces)
        names = [f"agent_{slot}" for slot in range(self.count)]
        self.rows = Rows(names, spaces)
        actions, self.moves = team_actions(choices, options.discretise)
        self.arrays = any(isinstance(moves[0], np.ndarray) for moves in self.moves)
        self.own = np.zeros((self.count, len(actions)), dtype=np.uint8)
        for slot, moves in enumerate(self.moves):
            self.own[slot, : len(moves)] = 1
        self.how = options.reward
        self.state_of = None if options.state == "concat" else _state_method(env)
        _reset(env, 0)
        state_dim = np.size(self.state_of()) if self.state_of else self.count * self.rows.width
        self._refuse_rewards()
        self.spec = Spec(
            agents=names,
            actions=actions,
            obs_dim=self.rows.width,
            state_dim=int(state_dim),
            episode_limit=episode_limit(options, own_limit(env, options)),
            seeded=_takes_seed(env),
            saves=False,
            versions=versions(module or ident.partition(":")[0]),
        )

    def start(self, seed: int, out: Out) -> None:
        obs, info = _reset(self.env, seed)
        self._write(obs, info, out)

    def advance(self, actions: List[int], out: Out) -> StepResult:
        moves = [own[action] for own, action in zip(self.moves, actions)]
        if self.arrays:
            moves = [np.copy(move) if isinstance(move, np.ndarray) else move for move in moves]
        result = self.env.step(tuple(moves))
        if len(result) == 5:
            obs, reward, terminated, truncated, info = result
        else:
            obs, reward, terminated, info = result
            truncated = info.get("TimeLimit.truncated", False)
        self._write(obs, info, out)
        terminated, truncated = _ends(terminated, truncated)
        return team_reward(reward, self.how, self.count), terminated, truncated, won(info)

    def render(self) -> str:
        if getattr(self.env.unwrapped, "render_mode", None) != "ansi":
            return ""
        return str(self.env.render() or "")

    def close(self) -> None:
        self.env.close()

    def _write(self, obs: Tuple, info: dict, out: Out) -> None:
        if len(obs) != self.count:
            raise ContractError(f"observations are of {len(obs)} agents, promised were {self.count}")
        if self.rows.padded:
            out.obs.fill(0.0)
        slot = 0
        try:
            for slot, (row, write) in enumerate(self.rows.cells(out)):
                write(row, obs[slot])
        except ValueError as error:
            raise self.rows.slip(slot, error) from None
        out.alive.fill(1)
        out.available[...] = self.own
        masks = info.get("action_mask")
        if masks is not None:
            self._write_masks(masks, out)
        if self.state_of is None:
            out.state[:] = out.obs.reshape(-1)
        else:
            copy_state(self.state_of(), out.state)

    def _write_masks(self, masks: object, out: Out) -> None:
        for slot, mask in enumerate(masks):
            try:
                copy_mask(mask, out.available[slot, : len(self.moves[slot])])
            except ValueError as error:
                raise self.rows.slip(slot, error) from None

    def _refuse_rewards(self) -> None:
        """Plays one step to see whether the environment rewards each agent by itself."""
        if self.how != "team":
            return
        reward = self.env.step(tuple(moves[0] for moves in self.moves))[1]
        if np.ndim(reward) > 0:
            raise ConfigError("reward", PER_AGENT)


def _make(ident: str, args: dict) -> object:
    """Makes the environment with whichever of the two libraries has it registered."""
    found = [name for name in ("gymnasium", "gym") if importlib.util.find_spec(name) is not None]
    if not found:
        raise ConfigError("env", "neither gymnasium nor gym is installed; pip install gymnasium")
    refusals = []
    for name in found:
        library = load_module(name)
        extra = dict(args)
        # Its checker costs more than many an environment, and what it checks is checked here.
        if "disable_env_checker" in inspect.signature(library.make).parameters:
            extra.setdefault("disable_env_checker", True)
        try:
            return construct(partial(library.make, ident), extra)
        except library.error.UnregisteredEnv as error:
            refusals.append(f"{name}: {error}")
    advice = "if importing a module registers it, write gym:MODULE:ID"
    raise ConfigError("env", f"no environment '{ident}' ({'; '.join(refusals)}); {advice}")


def _per_agent(space: object, what: str) -> List[object]:
    """The parts of a tuple of spaces; some environments give a plain list."""
    parts = space.spaces if kind(space) == "Tuple" else space
    if not isinstance(parts, (list, tuple)) or not parts:
        raise ConfigError("env", f"its {what} space is a {kind(space)}; a Tuple with one part per agent is needed")
    return list(parts)


def _takes_seed(env: object) -> bool:
    return "seed" in inspect.signature(env.reset).parameters


def _reset(env: object, seed: int) -> Tuple[Tuple, dict]:
    """Observations and info, of the older gym too, which gives no info and takes no seed."""
    result = env.reset(seed=seed) if _takes_seed(env) else env.reset()
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict):
        return result
    return result, {}


def _state_method(env: object) -> object:
    for name in ("state", "get_state"):
        method = getattr(env.unwrapped, name, None)
        if callable(method):
            return method
    raise ConfigError("state", 'this environment has no state of its own; set state = "concat"')


def _ends(terminated: object, truncated: object) -> Tuple[bool, bool]:
    """Whether the episode ended, from flags for the team or one per agent: it ends when every agent is done."""
    if isinstance(terminated, (bool, np.bool_)) and isinstance(truncated, (bool, np.bool_)):
        return bool(terminated), bool(truncated)
    if bool(np.all(terminated)):
        return True, False
    return False, bool(np.all(np.logical_or(terminated, truncated)))
