"""`smac:MODULE.CLASS`: environments with the methods of SMAC's `MultiAgentEnv`, as PyMARL and its relatives use them.

`smac:smac.env.StarCraft2Env`; SMACv2's and EPyMARL's alike. The class may be any function that makes one, and a key of
a dictionary: `smac:pymarlzooplus.envs.REGISTRY.gymma`, or `smac:gymnasium.make` with
`args = { id = "smaclite:smaclite/2s3z-v0" }`. Action 0 is "no-op": an agent with nothing else to do is dead.
"""

import inspect
from typing import Dict, List, Tuple

import numpy as np

from .adapter import Adapter, ConfigError, ContractError, Options, Out, Spec, StepResult
from .imports import construct, load_object, versions
from .limits import episode_limit, own_limit
from .outcome import won
from .rewards import team_reward
from .rows import copy_state

# The sizes, as `get_env_info` names them, and as attributes where there is no such method.
_SIZES = {"n_agents": "n_agents", "n_actions": "n_actions", "obs_shape": "obs_size", "state_shape": "state_size"}


class SmacAdapter(Adapter):
    """Wraps one environment. `args.seed`, if given, is raised by the environment's index."""

    def __init__(self, name: str, options: Options, index: int) -> None:
        args = dict(options.args)
        if isinstance(args.get("seed"), int):
            args["seed"] += index
        outer = construct(load_object(name), args)
        self.env = env = outer if hasattr(outer, "get_state") else getattr(outer, "unwrapped", outer)
        sizes = _sizes(env)
        self.count, actions, obs_dim, state_dim = (sizes[name] for name in _SIZES)
        self.how = options.reward
        self.joined = options.state == "concat"
        self.obs_of = getattr(env, "get_obs", None)
        self.available_of = getattr(env, "get_avail_actions", None) or self._each_available
        self.seeds_reset = "seed" in inspect.signature(env.reset).parameters
        self.shape = (obs_dim,)
        limit = sizes.get("episode_limit") or own_limit(env, options)
        self.spec = Spec(
            agents=[f"agent_{slot}" for slot in range(self.count)],
            actions=_action_names(env, actions),
            obs_dim=obs_dim,
            state_dim=self.count * obs_dim if self.joined else state_dim,
            episode_limit=episode_limit(options, limit),
            seeded=self.seeds_reset,
            saves=False,
            versions=versions(name),
        )

    def start(self, seed: int, out: Out) -> None:
        result = self.env.reset(seed=seed) if self.seeds_reset else self.env.reset()
        obs = self.obs_of() if self.obs_of else _observations(result)
        self._write(obs, out)

    def advance(self, actions: List[int], out: Out) -> StepResult:
        obs, reward, terminated, truncated, info = _parts(self.env.step(list(actions)))
        self._write(self.obs_of() if self.obs_of else obs, out)
        if terminated and info.get("episode_limit"):
            terminated, truncated = False, True
        return team_reward(reward, self.how, self.count), terminated, truncated, won(info)

    def close(self) -> None:
        self.env.close()

    def _write(self, obs: List, out: Out) -> None:
        if len(obs) != self.count:
            raise ContractError(f"observations are of {len(obs)} agents, promised were {self.count}")
        target = out.obs
        for slot in range(self.count):
            row = np.asarray(obs[slot], dtype=np.float32)
            if row.shape != self.shape:
                raise ContractError(self._slip(slot, f"observation has {row.size} values", self.shape[0]))
            target[slot] = row
        masks = self.available_of()
        if len(masks) != self.count:
            raise ContractError(f"available actions are of {len(masks)} agents, promised were {self.count}")
        width = len(self.spec.actions)
        for slot in range(self.count):
            if len(masks[slot]) != width:
                raise ContractError(self._slip(slot, f"available actions have {len(masks[slot])} values", width))
            out.available[slot] = masks[slot]
        if width > 1:
            out.available[:, 1:].max(axis=1, out=out.alive)
        else:
            out.alive.fill(1)
        if self.joined:
            out.state[:] = target.reshape(-1)
        else:
            copy_state(self.env.get_state(), out.state)

    def _each_available(self) -> List:
        return [self.env.get_avail_agent_actions(slot) for slot in range(self.count)]

    def _slip(self, slot: int, what: str, promised: int) -> str:
        return f"agent '{self.spec.agents[slot]}' ({slot}): {what}, promised were {promised}"


def _sizes(env: object) -> Dict[str, int]:
    """The sizes that the environment promises."""
    info = env.get_env_info() if hasattr(env, "get_env_info") else {k: getattr(env, a, None) for k, a in _SIZES.items()}
    sizes = {}
    for name in _SIZES:
        value = info.get(name)
        if not isinstance(value, (int, float, np.integer)) and value is not None:
            value = int(np.prod(value))
        if not value or value < 1:
            raise ConfigError("env", f"does not say its `{name}`; is it an environment with SMAC's methods?")
        sizes[name] = int(value)
    sizes["episode_limit"] = int(info.get("episode_limit") or 0)
    return sizes


def _action_names(env: object, count: int) -> List[str]:
    """SMAC's own names where it is SMAC."""
    if getattr(env, "n_actions_no_attack", None) == 6:
        names = ["no-op", "stop", "north", "south", "east", "west"]
        return names + [f"attack {i}" for i in range(count - 6)]
    return [f"action {i}" for i in range(count)]


def _parts(result: tuple) -> Tuple[object, object, bool, bool, dict]:
    """What `step` gave, as obs, reward, terminated, truncated, info; SMAC itself gives no obs there."""
    if len(result) == 3:
        reward, terminated, info = result
        return None, reward, bool(terminated), False, info
    if len(result) == 4:
        obs, reward, terminated, info = result
        return obs, reward, bool(terminated), bool(info.get("TimeLimit.truncated", False)), info
    obs, reward, terminated, truncated, info = result
    return obs, reward, bool(terminated), bool(truncated), info


def _observations(result: object) -> object:
    """Observations from what `reset` gave: alone, or followed by an info."""
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict):
        return result[0]
    return result
