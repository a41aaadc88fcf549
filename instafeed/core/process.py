"""Settings of the running process in the kernel. They work on Linux; on other systems nothing happens."""

from __future__ import annotations

import ctypes
import os
import sys
from signal import Signals

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent_pid: int, signum: Signals) -> None:
    """Have the kernel send this process `signum` when its parent ends, however the parent dies.

    The kernel watches the *thread* that started this process, and a change of user clears the setting. If the
    parent is already dead, the kernel sends no signal: this process then exits at once.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(signum))
    if os.getppid() != parent_pid:
        os._exit(1)


def hide_memory() -> None:
    """Hide this process's memory, environment and open files from other processes of its user, root excepted.

    They could read them in /proc or attach a debugger. Forked processes inherit the setting; programs that they execute
    do not. The kernel writes no core dumps of such a process.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
