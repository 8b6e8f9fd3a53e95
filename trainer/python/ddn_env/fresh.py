"""An environment that is made anew for each episode, for those whose `reset` remembers the last one."""

import sys
import traceback
from dataclasses import fields
from typing import Callable, List

from .adapter import Adapter, ContractError, Out, StepResult


class FreshAdapter(Adapter):
    """Adapters as `make` gives them, one per episode."""

    def __init__(self, make: Callable[[], Adapter]) -> None:
        self.make = make
        self.inner = make()
        self.used = False
        self.spec = self.inner.spec

    def start(self, seed: int, out: Out) -> None:
        if self.used:
            self._leave()
            self.inner = self.make()
            for part in fields(self.spec):
                before, now = getattr(self.spec, part.name), getattr(self.inner.spec, part.name)
                if before != now:
                    raise ContractError(f"made anew, it has other {part.name}: {now} after {before}; env.fresh needs equals")
        self.used = True
        self.inner.start(seed, out)

    def _leave(self) -> None:
        """Closes what was played in; one that cannot be closed does not keep the next from beginning."""
        try:
            self.inner.close()
        except Exception:  # noqa: BLE001: nothing of it is used any more
            traceback.print_exc(file=sys.stderr)

    def advance(self, actions: List[int], out: Out) -> StepResult:
        return self.inner.advance(actions, out)

    def render(self) -> str:
        return self.inner.render()

    def close(self) -> None:
        self.inner.close()

    def pack(self) -> bytes:
        return self.inner.pack()

    def unpack(self, saved: bytes, out: Out) -> None:
        self.used = True
        self.inner.unpack(saved, out)
