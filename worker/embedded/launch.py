"""Becomes another program that ends with its parent. Runs as a script, on the standard library.

A function between fork and exec would do the same, but is unsafe beside threads, and
CPython warns of it since 3.12.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""


def die_with_parent(death_signal: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel signal this process when its parent dies; Linux only, else nothing.

    It follows the parent's *thread* that forked, and a change of user clears it.

    Args:
        death_signal: what is sent.
        parent: the parent's pid as known before the fork. With it, a parent that has died
            already is noticed, and this process exits at once.

    Raises:
        OSError: the kernel refused.
    """
    if sys.platform != "linux":
        return
    expected = os.getppid() if parent is None else parent
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != expected:
        os._exit(1)


def main(arguments: list[str]) -> None:
    """Become the program.

    Args:
        arguments: the parent's pid, the death signal's number, uid and gid or "-" twice,
            then the program and its arguments.
    """
    parent, death_signal, user, group, *argv = arguments
    if user != "-":
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    die_with_parent(signal.Signals(int(death_signal)), int(parent))
    # What is ignored or blocked here would stay so: Python itself ignores SIGPIPE.
    for name in ("SIGHUP", "SIGINT", "SIGPIPE", "SIGQUIT", "SIGTERM", "SIGXFSZ"):
        signal.signal(signal.Signals[name], signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(argv[0], argv)  # noqa: S606  no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {argv[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
