"""The worker process of `ddn-train`: commands on standard input, answers on standard output.

Nothing but frames may reach the standard output that the trainer reads, and nothing that the
worker started may outlive the trainer. Both are settled here, before anything else is imported.
"""

import os
import sys


def main() -> int:
    # The folder that the trainer was started in is searched only where the experiment names it.
    if os.environ.pop("PYTHONSAFEPATH", None) and sys.version_info < (3, 11):
        del sys.path[0]
    commands, answers = os.dup(0), os.dup(1)
    # Whatever the environment prints goes where its errors go.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    guard(commands, answers)
    # A process that the environment forks must neither read commands nor hold the answers open.
    os.register_at_fork(after_in_child=lambda: [os.dup2(nothing, pipe) for pipe in (commands, answers)])
    from .worker import serve

    return serve(commands, answers)


def guard(commands: int, answers: int) -> None:
    """Leaves a process that ends this process group once the trainer is gone.

    A worker that hangs in foreign code cannot see that its input was closed; the guard can. It
    looks at the pipe, without reading, for as long as someone may write to it.
    """
    child = os.fork()
    if child != 0:
        os.waitpid(child, 0)
        return
    # No child of the worker: an environment may wait for its own.
    if os.fork() != 0:
        os._exit(0)
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
