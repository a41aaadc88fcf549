"""What a process gives up before it reads untrusted files: memory, disk, CPU, core dumps.

The process does this to itself once its libraries are loaded. Its parent cannot do it between fork and exec: no
Python may run there while the parent has threads.
"""

from __future__ import annotations

import math
import resource
import sys

_MAX_FILE_BYTES = 32 * 2**20  # a variant has a megabyte at most
_MAX_OPEN_FILES = 32


def limit_resources(memory: int) -> None:
    """`memory`: bytes of address space. An allocation beyond it fails, which Pillow reports as MemoryError."""
    if sys.platform == "linux":  # elsewhere the kernel does not have this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_cpu(seconds: int) -> None:
    """From now on, so many more seconds of CPU (one more at most), then SIGXCPU ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
