"""Spaces of Gymnasium and of the older gym, recognised by their class names, so that neither has to be imported.

Observations become rows of float32: a Box flattened, a Discrete as one-hot, and so on as `gymnasium.spaces.flatten`
does it. Actions become a numbered list of what the environment is given.
"""

import itertools
from typing import Callable, List, Tuple

import numpy as np

from .adapter import ConfigError
from .discretise import grid

Write = Callable[[np.ndarray, object], None]
"""Copies one observation into a row; ValueError says what is wrong with the observation."""

_KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")
MOST_ACTIONS = 256


def kind(space: object) -> str:
    """Name of the space's class, or of the known class that it extends."""
    for cls in type(space).__mro__:
        if cls.__name__ in _KINDS:
            return cls.__name__
    return type(space).__name__


def flattener(space: object) -> Tuple[int, Write]:
    """How many values an observation has, and how to write it. ConfigError("env") for spaces without a fixed size."""
    what = kind(space)
    if what in ("Box", "MultiBinary"):
        return _numbers(tuple(int(n) for n in space.shape))
    if what == "Discrete":
        return _one_hot([int(space.n)], np.asarray(getattr(space, "start", 0)))
    if what == "MultiDiscrete":
        sizes = np.asarray(space.nvec).reshape(-1)
        return _one_hot([int(n) for n in sizes], np.asarray(getattr(space, "start", 0)).reshape(-1))
    if what == "Dict":
        return _joined(list(space.spaces.items()))
    if what == "Tuple":
        return _joined(list(enumerate(space.spaces)))
    raise ConfigError("env", f"observations of the space {what} are no fixed list of numbers")


def action_list(space: object, points: int) -> Tuple[List[str], List[object]]:
    """Names of an agent's actions (none if they have no names), and what to give to the environment for each.

    `points` is `discretise` of the options. ConfigError for a space of which no list of at most 256 can be made.
    """
    what = kind(space)
    if what == "Discrete":
        start = int(getattr(space, "start", 0))
        return [], list(range(start, start + int(space.n)))
    if what == "MultiDiscrete":
        sizes = [int(n) for n in np.asarray(space.nvec).reshape(-1)]
        count = int(np.prod(sizes, dtype=object))
        if count > MOST_ACTIONS:
            raise ConfigError("env", f"{len(sizes)} choices at a time make {count} actions, at most are {MOST_ACTIONS}")
        start = np.asarray(getattr(space, "start", 0))
        picks = list(itertools.product(*(range(n) for n in sizes)))
        moves = [np.asarray(pick).reshape(space.shape) + start for pick in picks]
        return [" ".join(map(str, move.reshape(-1))) for move in moves], moves
    if what == "Box":
        return grid(space, points, MOST_ACTIONS)
    raise ConfigError("env", f"actions of the space {what} cannot be numbered; Discrete, MultiDiscrete and Box can")


def team_actions(spaces: List[object], points: int) -> Tuple[List[str], List[List[object]]]:
    """Names of the A actions of the widest agent, and each agent's own list of moves."""
    lists = [action_list(space, points) for space in spaces]
    width = max(len(moves) for _, moves in lists)
    named = max((names for names, _ in lists), key=len)
    if len(named) < width or any(names != named[: len(names)] or not names for names, _ in lists):
        named = [f"action {i}" for i in range(width)]
    return named, [moves for _, moves in lists]


def _numbers(shape: Tuple[int, ...]) -> Tuple[int, Write]:
    size = int(np.prod(shape, dtype=int))
    flat = len(shape) == 1

    def write(row: np.ndarray, value: object) -> None:
        try:
            right = value.shape == shape
        except AttributeError:
            value = np.asarray(value, dtype=np.float32)
            right = value.shape == shape
        if not right:
            raise ValueError(f"observation has {_size(value.shape)}, the space promised {_size(shape)}")
        row[:] = value if flat else value.reshape(-1)

    return size, write


def _one_hot(sizes: List[int], start: np.ndarray) -> Tuple[int, Write]:
    ends = np.cumsum(sizes)
    offsets = ends - sizes - start

    def write(row: np.ndarray, value: object) -> None:
        picks = np.asarray(value).reshape(-1)
        places = picks + offsets if picks.shape == ends.shape else ends
        if not np.all((ends - sizes <= places) & (places < ends)):
            raise ValueError(f"observation {value} is outside of its space")
        row[:] = 0.0
        row[places] = 1.0

    return int(ends[-1]), write


def _joined(parts: List[Tuple[object, object]]) -> Tuple[int, Write]:
    cells = []
    size = 0
    for key, space in parts:
        width, write = flattener(space)
        cells.append((key, slice(size, size + width), write))
        size += width

    def write_all(row: np.ndarray, value: object) -> None:
        for key, place, write in cells:
            try:
                part = value[key]
            except (KeyError, IndexError, TypeError):
                raise ValueError(f"observation has no part {key!r}") from None
            write(row[place], part)

    return size, write_all


def _size(shape: Tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"{shape[0]} values"
    return f"shape {list(shape)}"
