"""What an interpreter loads first when this folder is on PYTHONPATH: no memory can be mapped, as in some sandboxes."""

import mmap


def refuse(*_):
    raise PermissionError("no memory can be mapped")


mmap.mmap = refuse
