"""Limits of the child process: resources, and what it can reach.

The child sets them itself after its imports. The parent cannot set them between fork and exec, as no Python code may
run there while the parent has threads.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import sys
from pathlib import Path

from instafeed.core.process import hide_memory
from media.processing.child.landlock import restrict_files
from media.processing.child.seccomp import restrict_system_calls

_MAX_OPEN_FILES = 32
_PR_SET_NO_NEW_PRIVS = 38
_PROJECT_ROOT = Path(__file__).resolve().parents[3]


def limit_resources(memory: int) -> None:
    """Set all limits but CPU time. An allocation beyond `memory` bytes of address space fails with MemoryError."""
    if sys.platform == "linux":  # other systems do not have this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes to pipes only
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def isolate() -> list[str]:
    """Cut this process off from files, the network and other processes. Return what the kernel does not support."""
    hide_memory()
    missing = []
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), 0, 0)
    for name, apply in (
        ("Landlock", lambda: restrict_files(_library_directories())),
        ("seccomp", restrict_system_calls),
    ):
        try:
            apply()
        except (OSError, AttributeError) as error:  # AttributeError: the system is not Linux
            missing.append(f"{name} ({error})")
    return missing


def limit_cpu(seconds: int) -> None:
    """Allow `seconds` more of CPU time from now on (rounded up by at most one). Then SIGXCPU ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _library_directories() -> list[str]:
    """Return the directories of Python's libraries, some of which are imported late.

    Not the project's, as it may contain an `.env` with secrets; its modules are imported already.
    """
    directories = {os.path.abspath(path) for path in sys.path if os.path.isdir(path)}
    return sorted(directories - {str(_PROJECT_ROOT)})
