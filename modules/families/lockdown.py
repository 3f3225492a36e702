"""A process gives its rights away: from then on no network, no new process, no file opened for writing, bounded resources.

Linux' seccomp filters (kernel documentation, userspace-api/seccomp_filter), by their system calls alone. Other systems
have only the bounds that `resource` gives, or none.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

RETURN_ALLOW, RETURN_ERROR = 0x7FFF0000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
FOREIGN_NUMBERS = 0x40000000  # the x32 calls of x86_64
NEW_THREAD = 0x10000
FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NO_NEW_RIGHTS, SET_FILTER, ALL_THREADS = 38, 1, 1


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Numbers of system calls. `refused`: network, processes, changes of the file system, other processes' memory.

    `opening`: the calls that open files, each with the position of the argument that says what for.
    """

    architecture: int
    seccomp: int
    clone: int
    clone3: int
    refused: tuple[int, ...]
    opening: tuple[tuple[int, int], ...]


CALLS = {
    "x86_64": Calls(
        architecture=0xC000003E,
        seccomp=317,
        clone=56,
        clone3=435,
        # sockets; fork, vfork, execve; kill; truncate, rename to symlink, chmod to lchown; ptrace; mknod, chroot, mount;
        # tkill, tgkill; the same by folder; accept4; process_vm_*; renameat2, execveat; io_uring; openat2, fchmodat2
        refused=(
            *(
                41,
                42,
                43,
                44,
                46,
                49,
                50,
                53,
                57,
                58,
                59,
                62,
                76,
                *range(82, 89),
                *range(90, 95),
                101,
                133,
                161,
                165,
                200,
                234,
            ),
            *(258, 259, 260, 263, 264, 265, 266, 268, 288, 310, 311, 316, 322, 425, 426, 427, 437, 452),
        ),
        opening=((2, 1), (257, 2)),
    ),
    "aarch64": Calls(
        architecture=0xC00000B7,
        seccomp=277,
        clone=220,
        clone3=435,
        refused=(
            *(*range(33, 41), 45, 51, *range(52, 56), 117, 129, 130, 131, *range(198, 207), 211, 221, 242),
            *(270, 271, 276, 281, 425, 426, 427, 437, 452),
        ),
        opening=((56, 2),),
    ),
}


def bound(*, memory: int, file_size: int, seconds: int) -> None:
    """Bound what the process may take, for the rest of its life. Without effect where the system has no such bounds."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {"RLIMIT_AS": memory, "RLIMIT_FSIZE": file_size, "RLIMIT_CPU": seconds, "RLIMIT_CORE": 0}
    for name, most in wanted.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def lock() -> bool:
    """Give the rights away; whether the system could. Files that are open stay open, threads go on.

    Raises OSError when this is Linux and it refuses.
    """
    calls = CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    program = b"".join(_program(calls))
    content = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("content", ctypes.c_void_p))

    loaded = Program(len(program) // 8, ctypes.addressof(content))
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(NO_NEW_RIGHTS, 1, 0, 0, 0) != 0 or system.syscall(
        calls.seccomp, SET_FILTER, ALL_THREADS, ctypes.byref(loaded)
    ):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return True


def _program(calls: Calls) -> Iterator[bytes]:
    """The filter, instruction by instruction."""
    refuse = _step(RETURN, RETURN_ERROR | errno.EPERM)
    yield from (_step(LOAD, ARCHITECTURE), _step(EQUAL, calls.architecture, 1, 0), refuse, _step(LOAD, NUMBER))
    yield from (_step(AT_LEAST, FOREIGN_NUMBERS, 0, 1), refuse)
    for number in calls.refused:
        yield from (_step(EQUAL, number, 0, 1), refuse)
    # the C library then uses clone, which shows whether a thread or a process is wanted
    yield from (_step(EQUAL, calls.clone3, 0, 1), _step(RETURN, RETURN_ERROR | errno.ENOSYS))
    yield from (_step(EQUAL, calls.clone, 0, 4), _step(LOAD, FIRST_ARGUMENT), _step(ANY_BIT, NEW_THREAD, 1, 0))
    yield from (refuse, _step(RETURN, RETURN_ALLOW))
    for number, position in calls.opening:
        yield from (_step(EQUAL, number, 0, 4), _step(LOAD, FIRST_ARGUMENT + 8 * position))
        yield from (_step(ANY_BIT, FOR_WRITING, 0, 1), refuse, _step(RETURN, RETURN_ALLOW))
    yield _step(RETURN, RETURN_ALLOW)


def _step(code: int, operand: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, operand)
