"""What the worker asks of an environment: one interface for every kind of environment.

Shapes: N agents, O values in the widest agent's observation, S values of state, A actions of the agent with most.
"""

import struct
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

StepResult = Tuple[float, bool, bool, Optional[bool]]
"""Team reward, terminated, truncated (never both), won (None: not known, or not at the end)."""


class ContractError(Exception):
    """The environment breaks what it promised; the message says where and what to do."""


class ConfigError(Exception):
    """A key of the `[env]` table cannot work with this environment."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key, self.reason = key, reason


@dataclass
class Spec:
    """What an environment is; fixed from `open_env` to `close`."""

    agents: List[str]
    """N names; the index is the agent's slot, for good."""
    actions: List[str]
    """A names; "action 0" and so on where the environment has none."""
    obs_dim: int
    """O, the widest agent's."""
    state_dim: int
    """S."""
    episode_limit: int
    """The most steps of an episode, at least 1."""
    seeded: bool
    """Whether the seed of `reset` decides the episode."""
    saves: bool
    """Whether `save` and `load` work."""
    versions: Dict[str, str] = field(default_factory=dict)
    """Versions of Python and of the packages that matter, as far as known."""


class Out(NamedTuple):
    """Arrays that the caller owns. An adapter overwrites all of them at every reset and step."""

    obs: np.ndarray
    """float32 [N, O], padded with 0."""
    state: np.ndarray
    """float32 [S]."""
    available: np.ndarray
    """uint8 [N, A]; padded actions are 0."""
    alive: np.ndarray
    """uint8 [N]."""


@dataclass
class Options:
    """The trainer's `[env]` table, as far as it concerns a Python environment."""

    env: str
    """"ADAPTER:NAME"."""
    args: Dict[str, object] = field(default_factory=dict)
    """Keyword arguments of the environment's constructor."""
    episode_limit: int = 0
    """0: what the environment itself says; a smaller one than its own truncates earlier."""
    state: str = "env"
    """"env": the environment's own state; "concat": the observations of all agents, joined, [N * O]."""
    reward: str = "team"
    """"team": the environment must give one number; "sum" or "mean": over the agents' rewards."""
    discretise: int = 0
    """Points per axis for continuous actions; 0 refuses them."""
    fresh: bool = False
    """Whether each episode begins in an environment of its own."""


class Adapter:
    """One environment. The caller resets before it steps, and after each end.

    A subclass sets `spec` and writes `start` and `advance`, and `pack` and `unpack` where `spec.saves`. The limit on an
    episode's length is kept here, for all of them.
    """

    spec: Spec
    steps: int = 0

    def reset(self, seed: int, out: Out) -> None:
        """Starts an episode. `seed` is at least 0; 32 bits of it are used, since many environments take no more."""
        self.steps = 0
        self.start(seed & 0xFFFF_FFFF, out)

    def step(self, actions: List[int], out: Out) -> StepResult:
        """Plays one step with N actions. At the episode limit, what did not terminate is truncated."""
        reward, terminated, truncated, won = self.advance(actions, out)
        self.steps += 1
        if terminated:
            return reward, True, False, won
        if truncated or self.steps >= self.spec.episode_limit:
            return reward, False, True, won
        return reward, False, False, None

    def save(self) -> bytes:
        """The episode so far. NotImplementedError where `spec.saves` is False."""
        return _SAVED.pack(_MAGIC, self.steps) + self.pack()

    def load(self, saved: bytes, out: Out) -> None:
        """Goes back to what `save` gave, of any environment of this kind. ValueError for bytes from elsewhere."""
        if not self.spec.saves:
            raise NotImplementedError("this environment cannot be saved")
        if len(saved) < _SAVED.size:
            raise ValueError(f"{len(saved)} bytes are too few for a saved episode")
        magic, steps = _SAVED.unpack_from(saved)
        if magic != _MAGIC:
            raise ValueError("these bytes are no saved episode")
        self.unpack(saved[_SAVED.size :], out)
        self.steps = steps

    def render(self) -> str:
        """The present frame as text; empty where the environment has none."""
        return ""

    def close(self) -> None:
        """Ends the environment; nothing may be called after it."""

    def start(self, seed: int, out: Out) -> None:
        """`reset` of the subclass."""
        raise NotImplementedError

    def advance(self, actions: List[int], out: Out) -> StepResult:
        """`step` of the subclass; `won` may be given at every step."""
        raise NotImplementedError

    def pack(self) -> bytes:
        """`save` of the subclass."""
        raise NotImplementedError("this environment cannot be saved")

    def unpack(self, saved: bytes, out: Out) -> None:
        """`load` of the subclass."""
        raise NotImplementedError("this environment cannot be saved")


_MAGIC = b"ddn-env1"
_SAVED = struct.Struct("<8sI")
