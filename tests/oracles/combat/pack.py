"""Packs recordings of SMAClite into one file for the tests.

    python pack.py FOLDER OUT.safetensors [NAME...]

FOLDER holds `MAP_POLICY_epK.npz`; without names, all of them are packed, with every observation; with
names, those, with every fourth. Needs numpy.

Of an episode of T steps with N units (SMAClite's order, both sides), 8 ticks a step:

    actions                 [T, agents]
    order                   [8T, N]     who acted when in a tick; -1 where there were fewer units
    place, velocity         [T+1, N, 2] before each step and after the last
    scalars                 [T+1, N, 6] hp, shield, energy, cooldown, delay of the shield, healing in store
    target, last_target     [T+1, N]    of this tick and the one before; -1 for none
    alive                   [T+1, N]
    reward, terminated, won [T]
    seen                    [K]         after how many steps what follows was seen
    obs, state, available   [K, ...]
"""

import json
import pathlib
import struct
import sys

import numpy as np

NAMES = {"uint8": "U8", "int8": "I8", "float32": "F32", "float64": "F64"}


def save(tensors, out, metadata):
    """The safetensors format: length of the header, header, data."""
    header, data = {"__metadata__": metadata}, []
    at = 0
    for name, array in sorted(tensors.items()):
        array = array.astype(array.dtype.newbyteorder("<"))
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": [at, at + array.nbytes],
        }
        data.append(array.tobytes())
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(out).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def main(folder, out, names):
    files = sorted(pathlib.Path(folder).glob("*.npz"))
    if names:
        files = [file for file in files if file.stem in names]
    tensors = {}
    for file in files:
        z = np.load(file)
        steps = len(z["step_actions"])
        seen = np.arange(0, steps + 1, 4 if names else 1)

        def keep(key, array, kind):
            narrow = array.astype(kind)
            assert np.array_equal(narrow.astype(array.dtype), array), (file, key)
            tensors[f"{file.stem}/{key}"] = np.ascontiguousarray(narrow)

        keep("actions", z["step_actions"], np.uint8)
        keep("order", z["tick_order"], np.int8)
        keep("place", z["step_pos"], np.float32)
        keep("velocity", z["step_vel"], np.float64)
        keep("scalars", z["step_scalars"], np.float64)
        keep("target", z["step_target"], np.int8)
        keep("last_target", z["step_prev_target"], np.int8)
        keep("alive", z["step_alive"], np.uint8)
        keep("reward", z["step_reward"], np.float64)
        keep("terminated", z["step_terminated"], np.uint8)
        keep("won", z["step_battle_won"], np.uint8)
        keep("seen", seen, np.float32)
        keep("obs", z["step_obs"][seen], np.float32)
        keep("state", z["step_state"][seen], np.float32)
        keep("available", z["step_avail"][seen], np.uint8)
    save(tensors, out, {"recordings": json.dumps([file.stem for file in files])})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
