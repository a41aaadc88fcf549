"""Limits of the child process: memory, file size, open files, CPU time, and no core dumps.

The child sets them itself after its imports. The parent cannot set them between fork and exec, as no Python code may
run there while the parent has threads.
"""

from __future__ import annotations

import math
import resource
import sys

_MAX_FILE_BYTES = 32 * 2**20  # a variant has at most a megabyte
_MAX_OPEN_FILES = 32


def limit_resources(memory: int) -> None:
    """Set all limits but CPU time. An allocation beyond `memory` bytes of address space fails with MemoryError."""
    if sys.platform == "linux":  # other systems do not have this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_cpu(seconds: int) -> None:
    """Allow `seconds` more of CPU time from now on (rounded up by at most one). Then SIGXCPU ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
