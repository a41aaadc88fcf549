"""Landlock: the kernel limits which files this process can open, and cuts it off from other processes.

The structures and numbers are those of <linux/landlock.h>. Each version of the interface ("ABI") knows more rights; a
process can only forbid those that its kernel knows.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, equal on all architectures
_GET_VERSION = 1
_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
# The number of rights to files that each ABI knows: from ABI 1 to 7.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16}
_TCP_RIGHTS = 0b11  # bind and connect, from ABI 4
_SCOPES = 0b11  # abstract Unix sockets and signals to others, from ABI 6


def restrict_files(readable: Iterable[str]) -> None:
    """Allow only to read what is beneath the directories `readable`. Files that are open already stay usable.

    Also forbids TCP (from ABI 4), signals to other processes (from ABI 6), and to read or trace a process outside, such
    as its environment in /proc. Raises OSError if the kernel does not have Landlock. The process must have set
    no_new_privs.
    """
    version = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION))
    attributes = struct.pack("=Q", (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1)
    if version >= 4:
        attributes += struct.pack("=Q", _TCP_RIGHTS)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for path in readable:
            _allow_reading(ruleset, path)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    directory = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIRECTORY, directory)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(directory)


def _call(number: int, *arguments: object) -> int:
    """Make a system call. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
