"""`class:MODULE.CLASS`: a class of one's own. `template.py` is an example to copy.

Attributes: `n_agents`, `n_actions` (or `actions`, a list of names), `obs_dim`, `episode_limit`, and `state_dim` with
`state()`. Methods: `reset(seed)` gives observations [N][O]; `step(actions)` gives `(obs, reward, terminated)` or
`(obs, reward, terminated, truncated)`, and after these, if it likes, a dict whose "won" says whether the episode was
won. Optional: `agents` (names), `state()` [S], `available()` [N][A], `alive()` [N], `render()` a str, `save()` bytes,
`load(bytes)` observations, `close()`. `seeded = False` says that a seed does not decide an episode.
"""

from typing import Callable, List, Optional, Tuple

import numpy as np

from .adapter import Adapter, ConfigError, ContractError, Options, Out, Spec, StepResult
from .imports import construct, load_object, versions
from .limits import episode_limit
from .rewards import team_reward


class ClassAdapter(Adapter):
    """Wraps one instance of the class; `options.args` go to its constructor."""

    def __init__(self, name: str, options: Options, index: int) -> None:
        self.env = env = construct(load_object(name), options.args)
        agents = _count(env, "n_agents")
        obs_dim = _count(env, "obs_dim")
        actions = _action_names(env)
        self.state_of = _state_method(env, options)
        self.available_of = _method(env, "available")
        self.alive_of = _method(env, "alive")
        self.how = options.reward
        self.obs_shape = (agents, obs_dim)
        self.spec = Spec(
            agents=_names(env, "agents") or [f"agent_{i}" for i in range(agents)],
            actions=actions,
            obs_dim=obs_dim,
            state_dim=_count(env, "state_dim") if self.state_of else agents * obs_dim,
            episode_limit=episode_limit(options, getattr(env, "episode_limit", 0)),
            seeded=bool(getattr(env, "seeded", True)),
            saves=_method(env, "save") is not None and _method(env, "load") is not None,
            versions=versions(name),
        )
        if len(self.spec.agents) != agents:
            raise ContractError(f"`agents` has {len(self.spec.agents)} names, `n_agents` is {agents}")

    def start(self, seed: int, out: Out) -> None:
        self._write(self.env.reset(seed), out)

    def advance(self, actions: List[int], out: Out) -> StepResult:
        obs, reward, terminated, truncated, won = _parts(self.env.step(actions))
        self._write(obs, out)
        return team_reward(reward, self.how, self.obs_shape[0]), terminated, truncated, won

    def pack(self) -> bytes:
        if not self.spec.saves:
            raise NotImplementedError("the class has no save() and load()")
        return bytes(self.env.save())

    def unpack(self, saved: bytes, out: Out) -> None:
        try:
            obs = self.env.load(saved)
        except Exception as error:
            raise ValueError(f"load() of the environment refuses these bytes: {error!r}") from error
        self._write(obs, out)

    def render(self) -> str:
        render = _method(self.env, "render")
        return str(render()) if render else ""

    def close(self) -> None:
        close = _method(self.env, "close")
        if close:
            close()

    def _write(self, obs: object, out: Out) -> None:
        """Copies observations and what else there is to know of the present frame."""
        table = _array(obs, np.float32)
        if table is None or table.shape != self.obs_shape:
            raise ContractError(_slip(obs, self.spec))
        out.obs[...] = table
        if self.state_of is None:
            out.state[...] = table.reshape(-1)
        else:
            _copy(self.state_of(), out.state, "state()")
        if self.alive_of is None:
            out.alive.fill(1)
        else:
            _copy(self.alive_of(), out.alive, "alive()")
            out.obs[out.alive == 0] = 0
        if self.available_of is not None:
            _copy(self.available_of(), out.available, "available()")
        else:
            out.available.fill(1)
            if self.alive_of is not None:
                out.available[out.alive == 0, 1:] = 0


def _parts(result: tuple) -> Tuple[object, object, bool, bool, Optional[bool]]:
    """What `step` gave, as obs, reward, terminated, truncated, won."""
    if not isinstance(result, (tuple, list)) or not 3 <= len(result) <= 5:
        what = f"{len(result)} things" if isinstance(result, (tuple, list)) else repr(result)
        raise ContractError(f"step() gave {what}; give (obs, reward, terminated)")
    obs, reward, terminated, *rest = result
    info = rest.pop() if rest and (isinstance(rest[-1], dict) or len(rest) == 2) else None
    truncated = _flag(rest[0], "truncated") if rest else False
    won = info.get("won") if isinstance(info, dict) else None
    return obs, reward, _flag(terminated, "terminated"), truncated, None if won is None else _flag(won, "won")


def _flag(value: object, name: str) -> bool:
    """True or False; what merely counts as one in Python, as a list of flags does, is a slip."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise ContractError(f"{name} is {value!r}; give one bool for the team, as all(...) of the agents'")


def _count(env: object, name: str) -> int:
    """A whole number above 0 from an attribute of the class."""
    value = getattr(env, name, None)
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ContractError(f"class {type(env).__name__}: attribute `{name}` must be a number above 0, it is {value!r}")
    return int(value)


def _method(env: object, name: str) -> Optional[Callable]:
    """A method that the class may have; an attribute of that name which is no method is its own affair."""
    found = getattr(env, name, None)
    return found if callable(found) else None


def _names(env: object, attribute: str) -> List[str]:
    """An attribute that is a list of names; empty if it is anything else."""
    names = getattr(env, attribute, None)
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return list(names)
    return []


def _action_names(env: object) -> List[str]:
    names = _names(env, "actions")
    if not names:
        return [f"action {i}" for i in range(_count(env, "n_actions"))]
    if getattr(env, "n_actions", len(names)) != len(names):
        raise ContractError(f"`actions` has {len(names)} names, `n_actions` is {env.n_actions}")
    return names


def _state_method(env: object, options: Options) -> Optional[Callable]:
    """The method that gives the state; None to join the observations."""
    if options.state == "concat":
        return None
    state = _method(env, "state")
    if state is None:
        raise ConfigError("state", f'class {type(env).__name__} has no state(); set state = "concat"')
    return state


def _array(values: object, kind: type) -> Optional[np.ndarray]:
    """Values as an array; None where they have no common length."""
    try:
        return np.asarray(values, dtype=kind)
    except (TypeError, ValueError):
        return None


def _copy(values: object, target: np.ndarray, what: str) -> None:
    """Copies values of exactly the target's shape."""
    array = _array(values, target.dtype)
    if array is None or array.shape != target.shape:
        shape = "ragged" if array is None else list(array.shape)
        raise ContractError(f"{what} has shape {shape}, promised was {list(target.shape)}")
    target[...] = array


def _slip(obs: object, spec: Spec) -> str:
    """Says which agent's observation is wrong."""
    rows = list(obs) if hasattr(obs, "__iter__") else []
    if len(rows) != len(spec.agents):
        return f"observations are of {len(rows)} agents, promised were {len(spec.agents)}"
    for slot, row in enumerate(rows):
        size = np.size(row)
        if size != spec.obs_dim:
            agent = f"agent '{spec.agents[slot]}' ({slot})"
            return f"{agent}: observation has {size} values, promised were {spec.obs_dim}; see `obs_dim`"
    return f"observations are no {len(rows)} rows of {spec.obs_dim} numbers"
