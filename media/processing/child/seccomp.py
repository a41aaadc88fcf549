"""A seccomp filter: the kernel refuses system calls that a decoder never needs, with EPERM.

The filter is a list of what is refused, because a list of what is allowed would depend on the versions of glibc and
Python. It forbids sockets, new processes, execution of programs, access to other processes, io_uring (which goes round
the filter), and the parts of the kernel with the most weaknesses. Threads are allowed: the decoder of HEIC starts one.
"""

from __future__ import annotations

import ctypes
import os
import struct

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_RET_ALLOW, _RET_KILL_PROCESS, _RET_EPERM, _RET_ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
# Classic BPF: load a word of the system call's data, compare it, return a verdict.
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL, _JUMP_BIT_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in `struct seccomp_data`
_X32_CALLS = 0x40000000  # numbers from here on are calls of the x32 ABI, or invalid

_REFUSED = {
    # The order of architectures: x86_64, aarch64. None: the architecture does not have it.
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "accept4": (288, 242),
    "recvmmsg": (299, 243),
    "sendmmsg": (307, 269),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}
# Allowed with the flag CLONE_THREAD. A filter cannot see the flags of clone3, and glibc falls back to clone.
_CLONE, _CLONE3, _CLONE_THREAD = (56, 220), 435, 0x00010000
# Allowed if the first argument is this process, as abort() needs; or 0, which stands for it.
_ON_ITSELF_ONLY = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


class _Program(ctypes.Structure):
    """`struct sock_fprog` of the kernel."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict_system_calls() -> None:
    """Refuse these system calls from now on. Raises OSError if the kernel or the architecture does not support it.

    The process must have set no_new_privs.
    """
    code = _build_filter(os.uname().machine, os.getpid())
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel does not accept a seccomp filter")


def _build_filter(machine: str, pid: int) -> bytes:
    """Return the instructions of the filter."""
    if machine not in _ARCHITECTURES:
        raise OSError(f"no seccomp filter for {machine}")
    column = list(_ARCHITECTURES).index(machine)
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], if_true=1),
        _instruction(_RETURN, _RET_KILL_PROCESS),  # a call of another architecture has other numbers
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_GREATER_OR_EQUAL, _X32_CALLS, if_false=1),
        _instruction(_RETURN, _RET_EPERM),
    ]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            code += [_instruction(_JUMP_EQUAL, number, if_false=1), _instruction(_RETURN, _RET_EPERM)]
    code += [
        _instruction(_JUMP_EQUAL, _CLONE3, if_false=1),
        _instruction(_RETURN, _RET_ENOSYS),
        _instruction(_JUMP_EQUAL, _CLONE[column], if_false=4),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_JUMP_BIT_SET, _CLONE_THREAD, if_true=1),
        _instruction(_RETURN, _RET_EPERM),
        _instruction(_RETURN, _RET_ALLOW),
    ]
    for numbers in _ON_ITSELF_ONLY.values():
        code += [
            _instruction(_JUMP_EQUAL, numbers[column], if_false=5),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            _instruction(_JUMP_EQUAL, pid, if_true=2),
            _instruction(_JUMP_EQUAL, 0, if_true=1),
            _instruction(_RETURN, _RET_EPERM),
            _instruction(_RETURN, _RET_ALLOW),
        ]
    return b"".join([*code, _instruction(_RETURN, _RET_ALLOW)])


def _instruction(operation: int, operand: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one instruction. A jump skips `if_true` or `if_false` instructions."""
    return struct.pack("=HBBI", operation, if_true, if_false, operand)
