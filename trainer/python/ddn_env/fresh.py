"""An environment that is made anew for each episode, for those whose `reset` remembers the last one."""

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
            self.inner.close()
            self.inner = self.make()
            if self.inner.spec != self.spec:
                raise ContractError("another environment came when it was made anew (agents, actions, widths or limit differ)")
        self.used = True
        self.inner.start(seed, out)

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
