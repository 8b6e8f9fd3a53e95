"""A grid over continuous actions, for networks that choose from a list."""

import itertools
from typing import List, Tuple

import numpy as np

from .adapter import ConfigError


def grid(space: object, points: int, most: int) -> Tuple[List[str], List[np.ndarray]]:
    """All combinations of `points` evenly spaced values per axis of a Box, both ends included.

    Gives names ("-1 0.5") and float32 arrays of the Box's shape; the last axis changes fastest.
    ConfigError("discretise") for fewer than 2 points, an axis without ends, or more than `most` combinations.
    """
    low = np.asarray(space.low, dtype=np.float64).reshape(-1)
    high = np.asarray(space.high, dtype=np.float64).reshape(-1)
    axes = len(low)
    about = f"the action has {axes} continuous {'axis' if axes == 1 else 'axes'}, {_ranges(low, high)}"
    if not np.all(np.isfinite(low) & np.isfinite(high)):
        raise ConfigError("discretise", f"{about}; an axis without ends has no grid")
    if points < 2:
        advice = f"`discretise = 3` makes a grid of 3 points per axis, {3**axes} actions (at most are {most})"
        raise ConfigError("discretise", f"{about}; {advice}")
    count = points**axes
    if count > most:
        raise ConfigError("discretise", f"{about}; {points} points per axis make {count} actions, at most are {most}")
    values = [np.linspace(low[i], high[i], points) for i in range(axes)]
    moves = [np.asarray(move, dtype=np.float32) for move in itertools.product(*values)]
    names = [" ".join(f"{value:g}" for value in move) for move in moves]
    if len(set(names)) < len(names):
        # A narrow range far from 0: its points differ only in later digits.
        names = [" ".join(map(repr, move.tolist())) for move in moves]
    return names, [move.reshape(space.shape) for move in moves]


def _ranges(low: np.ndarray, high: np.ndarray) -> str:
    """The axes in words, shortened where they are alike or many."""
    ranges = [f"{a:g} to {b:g}" for a, b in zip(low, high)]
    if len(set(ranges)) == 1:
        return f"each from {ranges[0]}" if len(ranges) > 1 else f"from {ranges[0]}"
    shown = ", ".join(ranges[:8])
    return f"from {shown}" + (", and so on" if len(ranges) > 8 else "")
