"""A process that ends with the one that started it, however that one dies. Linux only; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import os
import sys
from signal import Signals

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent: int, signum: Signals) -> None:
    """Have the kernel send this process `signum` when its parent, the process `parent`, ends.

    The kernel ties this to the *thread* that started the process, and a change of user clears it. A parent that
    is dead already sends nothing any more: then the process ends here.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(signum))
    if os.getppid() != parent:
        os._exit(1)
