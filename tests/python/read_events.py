"""Checks with TensorBoard's own reader that an event file says what metrics.jsonl says.

usage: read_events.py RUN_DIRECTORY
"""

import json
import math
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

FILE_NAME = "events.out.tfevents.0.ddn"
COLUMNS = ("t_env", "episode", "update")


def single(value):
    """The value as a 32-bit float, which is what an event holds."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def from_lines(path):
    rows = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        for key in sorted(record.keys() - set(COLUMNS)):
            value = record[key]
            rows.append((record["t_env"], key, math.nan if value is None else single(value)))
    return rows


def from_events(path):
    rows = []
    for index, event in enumerate(EventFileLoader(str(path)).Load()):
        if index == 0:
            assert event.file_version == "brain.Event:2", event
            continue
        assert event.wall_time > 1.6e9, f"no time in {event}"
        for value in event.summary.value:
            # The loader turns simple values into tensors.
            number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
            rows.append((event.step, value.tag, number))
    return rows


def main(directory):
    lines = from_lines(directory / "metrics.jsonl")
    events = from_events(directory / FILE_NAME)
    assert len(lines) == len(events), f"{len(lines)} values in lines, {len(events)} in events"
    assert lines, "no values at all"
    for line, event in zip(lines, events):
        same = line == event or (math.isnan(line[2]) and not math.isfinite(event[2]))
        assert line[:2] == event[:2] and same, f"{line} is not {event}"
    print(f"{len(events)} values agree")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
