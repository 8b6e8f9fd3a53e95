"""Serves a few environments of one kind to the trainer, until it closes or is gone.

`OPEN` makes the environments, `MAP` says where their frames are to be put, `BATCH` resets and
steps any of them, in the order of the batch. The frame of an environment is
`obs f32[N, O] | state f32[S] | available u8[N, A] | alive u8[N]`, up to a multiple of eight bytes;
it lies in shared memory at a fixed place, or follows in the answer.
"""

import json
import mmap
import os
import platform
import sys
import time
import traceback

import numpy as np

from . import __version__, wire
from .adapter import Adapter, ConfigError, Options, Out, Spec
from .registry import open_env

HERE = os.path.dirname(__file__)


def serve(commands: int, answers: int) -> int:
    """Answers every command; returns the exit code of the process."""
    pipe = wire.Wire(commands, answers)
    pipe.send_json(wire.HELLO, 0, {"ddn_env": __version__, "python": platform.python_version()})
    worker = Worker(pipe)
    while True:
        command = pipe.receive()
        if command is None or command[0] == wire.CLOSE:
            worker.close()
            return 0
        kind, number, payload = command
        try:
            worker.answer(kind, number, payload)
        except Exception as error:  # noqa: BLE001: whatever an environment raises is the trainer's to judge
            pipe.send_json(wire.ERROR, number, described(error, worker.at))


def described(error: Exception, at: "int | None") -> dict:
    """An error as the trainer shows it; what this package called on the way to the user's code is left out."""
    place = error.__traceback__
    while place and place.tb_next and os.path.dirname(place.tb_frame.f_code.co_filename) == HERE:
        place = place.tb_next
    return {
        "env": at,
        "key": error.key if isinstance(error, ConfigError) else None,
        "type": type(error).__name__,
        "message": error.reason if isinstance(error, ConfigError) else str(error),
        "traceback": "".join(traceback.format_exception(type(error), error, place)),
    }


def stride(spec: Spec) -> int:
    """Bytes of one environment's frame."""
    agents = len(spec.agents)
    floats = agents * spec.obs_dim + spec.state_dim
    return -(-(4 * floats + agents * len(spec.actions) + agents) // 8) * 8


def views(spec: Spec, memory, offset: int) -> Out:
    """The frame at `offset`, as the arrays that an adapter fills."""
    agents, actions = len(spec.agents), len(spec.actions)

    def view(kind: str, *shape: int) -> np.ndarray:
        nonlocal offset
        array = np.frombuffer(memory, dtype=kind, count=int(np.prod(shape)), offset=offset).reshape(shape)
        offset += array.nbytes
        return array

    return Out(
        view("<f4", agents, spec.obs_dim),
        view("<f4", spec.state_dim),
        view("u1", agents, actions),
        view("u1", agents),
    )


class Worker:
    """The environments of this process."""

    def __init__(self, pipe: wire.Wire) -> None:
        self.pipe = pipe
        self.envs: list[Adapter] = []
        self.outs: list[Out] = []
        self.frames: "list[memoryview] | None" = None
        self.first = 0
        # The environment at work, for messages; counted over all workers.
        self.at: "int | None" = None

    def answer(self, kind: int, number: int, payload: bytes) -> None:
        """Does what a command asks for."""
        if kind == wire.BATCH:
            self.batch(number, payload)
        elif kind == wire.OPEN:
            self.open(number, json.loads(payload))
        elif kind == wire.MAP:
            self.map(number, json.loads(payload))
        elif kind in (wire.SAVE, wire.LOAD, wire.RENDER):
            (seat,) = wire.ENV.unpack_from(payload)
            self.at = self.first + seat
            if kind == wire.SAVE:
                self.pipe.send(wire.BYTES, number, self.envs[seat].save())
            elif kind == wire.RENDER:
                self.pipe.send(wire.BYTES, number, self.envs[seat].render().encode())
            else:
                self.envs[seat].load(payload[wire.ENV.size :], self.outs[seat])
                self.done(number, [(seat, 0, 0.0, False, False, None)])
            self.at = None
        else:
            raise ValueError(f"unknown command {kind}")

    def open(self, number: int, asked: dict) -> None:
        """Makes the environments and says what they are."""
        self.first = asked["first"]
        count = asked["count"]
        options = Options(**asked["options"])
        for seat in range(count):
            self.at = self.first + seat
            self.envs.append(open_env(options, self.first + seat))
        self.at = None
        spec = self.envs[0].spec
        if any(env.spec != spec for env in self.envs):
            raise ConfigError("env", "gives environments of different sizes; all of a run must be alike")
        told = {**vars(spec), "stride": stride(spec)}
        told["versions"] = {**spec.versions, "python": platform.python_version(), "numpy": np.__version__}
        self.pipe.send_json(wire.SPEC, number, told)

    def map(self, number: int, asked: dict) -> None:
        """Puts the frames into the file that is named, or into memory of its own."""
        spec = self.envs[0].spec
        size = stride(spec)
        path = asked["path"]
        if path is None:
            memory = bytearray(size * len(self.envs))
            self.frames = [memoryview(memory)[k * size :][:size] for k in range(len(self.envs))]
        else:
            try:
                with open(path, "r+b", buffering=0) as file:
                    if os.fstat(file.fileno()).st_ino != asked["inode"]:
                        raise OSError(f"{path} is of another process")
                    memory = mmap.mmap(file.fileno(), size * len(self.envs))
            except OSError as error:
                raise ConfigError("transport", f'shares no memory here ({error}); set it to "pipe"') from error
        self.outs = [views(spec, memory, k * size) for k in range(len(self.envs))]
        self.pipe.send(wire.DONE, number)

    def batch(self, number: int, payload: bytes) -> None:
        """Resets and steps, in order."""
        agents = len(self.envs[0].spec.agents)
        results, at, clock = [], 0, time.perf_counter_ns
        while at < len(payload):
            seat, what = wire.ITEM.unpack_from(payload, at)
            at += wire.ITEM.size
            env, out = self.envs[seat], self.outs[seat]
            self.at = self.first + seat
            began = clock()
            if what == 0:
                (seed,) = wire.SEED.unpack_from(payload, at)
                at += wire.SEED.size
                env.reset(seed, out)
                result = (0.0, False, False, None)
            else:
                actions = list(memoryview(payload)[at : at + 4 * agents].cast("I"))
                at += 4 * agents
                result = env.step(actions, out)
            results.append((seat, (clock() - began) // 1000, *result))
        self.at = None
        self.done(number, results)

    def done(self, number: int, results: list) -> None:
        """Answers with results, and with the frames where they do not lie in shared memory."""
        parts = [
            wire.RESULT.pack(seat, min(micros, 0xFFFFFFFF), reward, terminated, truncated, 2 if won is None else won)
            for seat, micros, reward, terminated, truncated, won in results
        ]
        if self.frames is not None:
            parts.extend(self.frames[result[0]] for result in results)
        self.pipe.send(wire.DONE, number, *parts)

    def close(self) -> None:
        """Closes every environment; one that fails does not keep the others."""
        for env in self.envs:
            try:
                env.close()
            except Exception:  # noqa: BLE001: the last word of a process that ends
                traceback.print_exc(file=sys.stderr)
