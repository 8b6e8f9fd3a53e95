"""Shows what holds for environments in Python: `show.py [--kills COUNT] [PART…]`."""

import argparse

import bits
import failures
import kills
import overhead
import packages
import ship
import zoo

PARTS = {part.__name__: part for part in (packages, failures, kills, bits, ship, zoo, overhead)}

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("parts", nargs="*", metavar="PART", help=f"which of {', '.join(PARTS)}; all without")
arguments.add_argument("--kills", type=int, default=20, help="trainers to kill")
arguments = arguments.parse_args()
for part in arguments.parts or PARTS:
    if part not in PARTS:
        raise SystemExit(f"unknown part {part}; there are {', '.join(PARTS)}")
    print(f"\n--- {part}", flush=True)
    if part == "kills":
        kills.show(arguments.kills)
    else:
        PARTS[part].show()
