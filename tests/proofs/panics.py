"""Proves that no panic can be reached and no allocator is linked, on every instruction set that the runtime is for.

The program `everything` calls the whole interface of the runtime. Its panic handler refers to a function that does not exist
(feature `no-panic-proof`), so the image links only if the optimiser has removed every path to a panic. Then the names
in the image are looked through.
"""

import re
import sys

from firmware import cargo, image, llvm, triple

# Board, another target than the board's own if any, and the programs.
PROOFS = (
    ("an386", None, ("everything", "replay", "smallest", "builtin")),
    ("an386", "thumbv6m-none-eabi", ("everything",)),
    ("an505", None, ("everything",)),
    ("an547", None, ("everything",)),
    ("virt", None, ("everything",)),
    ("wasm", None, ("everything",)),
)
# The panic machinery of `core`, the allocator's interface, and the function that does not exist.
FORBIDDEN = re.compile(r"core::panicking|panic_(fmt|bounds|nounwind)|__rust_alloc|__rust_no_alloc|\balloc::|a_panic_can_be_reached")


def main():
    failed = False
    for board, target, programs in PROOFS:
        for program in programs:
            options = ("--features", "no-panic-proof") + (("--target", target) if target else ())
            cargo("build", board, program, *options)
            names = llvm("nm", "-C", image(board, program, target)).splitlines()
            found = [name for name in names if FORBIDDEN.search(name)]
            known = sum("ddn_runtime" in name for name in names)
            failed |= bool(found) or not known
            print(f"{board:<6} {target or triple(board):<28} {program:<10} {len(names):>5} names, {len(found)} of panics or allocators")
            for name in found:
                print(f"    {name}")
    return failed


sys.exit(main())
