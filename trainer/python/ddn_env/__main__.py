"""The worker process of `ddn-train`: commands on standard input, answers on standard output.

Nothing but frames may reach the standard output that the trainer reads, and nothing that the
worker started may outlive the trainer. Both are settled here, before anything else is imported.
"""

import os
import sys


def main() -> int:
    commands, answers = os.dup(0), os.dup(1)
    # Whatever the environment prints goes where its errors go.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    guard(commands, answers)
    from .worker import serve

    return serve(commands, answers)


def guard(commands: int, answers: int) -> None:
    """Leaves a process that ends this process group once the trainer is gone.

    A worker that hangs in foreign code cannot see that its input was closed; the guard can. It
    looks at the pipe, without reading, for as long as someone may write to it.
    """
    if os.fork() != 0:
        return
    import select
    import signal

    for file in (0, 1, 2, answers):
        os.close(file)
    poll = select.poll()
    poll.register(commands, 0)
    poll.poll()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
