"""Frames between trainer and worker, little endian; the trainer's side is `env/python/wire.rs`.

A frame is `u32 length of the payload | u16 kind | u16 protocol | u32 number`, then the payload. An
answer carries the number of its command.
"""

import json
import os
import struct
import sys
from typing import BinaryIO

PROTOCOL = 1

# Commands.
OPEN, MAP, BATCH, SAVE, LOAD, RENDER, CLOSE = range(1, 8)
# Answers.
HELLO, SPEC, DONE, BYTES, ERROR = range(101, 106)

HEADER = struct.Struct("<IHHI")
# One thing to do: environment, 0 to reset or 1 to step; then a seed, or an action for each agent.
ITEM = struct.Struct("<II")
SEED = struct.Struct("<Q")
ENV = struct.Struct("<I")
# What came of it: environment, microseconds, reward, terminated, truncated, won (2: unknown).
RESULT = struct.Struct("<IId3B5x")


class Wire:
    """Both ends of the two pipes."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands: BinaryIO = os.fdopen(commands, "rb", buffering=1 << 16)
        self._answers = answers

    def receive(self) -> "tuple[int, int, bytes] | None":
        """Kind, number and payload of the next command; None when the trainer is gone."""
        header = self._commands.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, kind, protocol, number = HEADER.unpack(header)
        if protocol != PROTOCOL:
            print(f"ddn_env: the trainer speaks protocol {protocol}, this package {PROTOCOL}", file=sys.stderr)
            return None
        payload = self._commands.read(length)
        return (kind, number, payload) if len(payload) == length else None

    def send(self, kind: int, number: int, *parts: "bytes | bytearray") -> None:
        """One frame of these parts."""
        length = sum(map(len, parts))
        view = memoryview(b"".join((HEADER.pack(length, kind, PROTOCOL, number), *parts)))
        while view:
            view = view[os.write(self._answers, view) :]

    def send_json(self, kind: int, number: int, value: object) -> None:
        """One frame that holds `value`."""
        self.send(kind, number, json.dumps(value).encode())
