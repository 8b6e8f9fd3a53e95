"""What the tests share: frames to write into, episodes with fixed actions, and the lookalikes of spaces."""

import sys
import types
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from ddn_env.adapter import Adapter, Options, Out, Spec
from ddn_env.registry import open_env


def frame(spec: Spec, dirt: float = 7.0) -> Out:
    """Arrays full of dirt, so that what an adapter forgets to write shows."""
    agents, actions = len(spec.agents), len(spec.actions)
    return Out(
        np.full((agents, spec.obs_dim), dirt, np.float32),
        np.full(spec.state_dim, dirt, np.float32),
        np.full((agents, actions), int(dirt), np.uint8),
        np.full(agents, int(dirt), np.uint8),
    )


def copied(out: Out) -> List[list]:
    """A frame as plain numbers."""
    return [part.tolist() for part in out]


def episode(adapter: Adapter, seed: int, dirt: float = 7.0) -> List[Tuple[tuple, List[list]]]:
    """Plays to the end, with available actions that the seed decides: results and frames, first with the result ()."""
    out = frame(adapter.spec, dirt)
    choose = np.random.RandomState(seed)
    adapter.reset(seed, out)
    seen = [((), copied(out))]
    while True:
        actions = [int(choose.choice(np.flatnonzero(row))) for row in out.available]
        result = adapter.step(actions, out)
        seen.append((result, copied(out)))
        if result[1] or result[2]:
            return seen


def module(name: str, **members: object) -> str:
    """Makes a module of that name that holds `members`, importable until the process ends."""
    made = types.ModuleType(name)
    made.__dict__.update(members)
    sys.modules[name] = made
    return name


def opened(env: str, **keys: object) -> Adapter:
    """Opens an environment with the given keys of the `[env]` table."""
    return open_env(Options(env, **keys), 0)


# Spaces as the libraries have them, as far as they are looked at.


@dataclass
class Box:
    low: object
    high: object
    shape: Tuple[int, ...]


@dataclass
class Discrete:
    n: int
    start: int = 0


@dataclass
class Dict_:
    spaces: Dict[str, object]


Dict_.__name__ = "Dict"


def box(*shape: int) -> Box:
    """An unbounded box."""
    return Box(np.full(shape, -np.inf), np.full(shape, np.inf), shape)
