"""Where each agent's observation goes, and how it is written."""

from typing import List, Optional, Tuple

import numpy as np

from .adapter import ContractError, Out
from .spaces import Write, flattener


class Rows:
    """Observations of N agents, each with a space of its own, in rows of the widest one's length.

    `width` is that length; `padded` says whether some agent's observation is shorter.
    """

    def __init__(self, names: List[str], spaces: List[object]) -> None:
        self.names = names
        flat = [flattener(space) for space in spaces]
        self.sizes = [size for size, _ in flat]
        self.writes = [write for _, write in flat]
        self.width = max(self.sizes)
        self.padded = min(self.sizes) < self.width
        self._out: Optional[Out] = None
        self._cells: List[Tuple[np.ndarray, Write]] = []

    def cells(self, out: Out) -> List[Tuple[np.ndarray, Write]]:
        """Each agent's part of `out.obs` and its writer; kept until another `out` comes."""
        if out is not self._out:
            self._out = out
            self._cells = [(out.obs[i, :size], write) for i, (size, write) in enumerate(zip(self.sizes, self.writes))]
        return self._cells

    def slip(self, slot: int, error: object) -> ContractError:
        """The error of an agent, with its name and slot."""
        return ContractError(f"agent '{self.names[slot]}' ({slot}): {error}")


def copy_state(state: object, target: np.ndarray) -> None:
    """Copies a state of any shape, flattened, into [S]. ContractError for another count of values."""
    try:
        size = state.size
    except AttributeError:
        state = np.asarray(state, dtype=np.float32)
        size = state.size
    if size != target.size:
        raise ContractError(f"state has {size} values, promised were {target.size}")
    target[:] = state if state.ndim == 1 else state.reshape(-1)


def copy_mask(mask: object, available: np.ndarray) -> None:
    """Copies which of an agent's own actions are available. ValueError for another count of values."""
    if len(mask) != len(available):
        raise ValueError(f"action mask has {len(mask)} values, the agent has {len(available)} actions")
    available[:] = mask
