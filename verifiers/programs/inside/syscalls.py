"""The system calls that a pure computation needs, as a seccomp filter; all others are refused."""

import errno
import platform
import struct

# Number on x86-64 and on AArch64 (None: not there), from the kernel's headers.
_ALLOWED: dict[str, tuple[int, int | None]] = {
    # Reading and writing what is open; files in the private directory.
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "open": (2, None), "openat": (257, 56), "close": (3, 57), "close_range": (436, 436),
    "lseek": (8, 62), "fstat": (5, 80), "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79),
    "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "mkdir": (83, None), "mkdirat": (258, 34),
    "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "ftruncate": (77, 46), "truncate": (76, 45), "fsync": (74, 82),
    "fdatasync": (75, 83), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None),
    "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73), "select": (23, None),
    "pselect6": (270, 72),
    # Memory, signals to itself by the clock, time, locks.
    "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigtimedwait": (128, 137), "sigaltstack": (131, 132), "alarm": (37, None), "setitimer": (38, 103),
    "getitimer": (36, 102), "pause": (34, None), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None),
    "times": (100, 153), "getrusage": (98, 165), "futex": (202, 98), "set_robust_list": (273, 99),
    "rseq": (334, 293), "membarrier": (324, 283), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    # Asking who one is, randomness, the end.
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getpgid": (121, 155), "getpgrp": (111, None),
    "getsid": (124, 156), "uname": (63, 160), "sysinfo": (99, 179), "umask": (95, 166), "getrandom": (318, 278),
    "capget": (125, 90), "restart_syscall": (219, 128), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
# Only where more than one process or thread is allowed; `clone` without new namespaces.
_PROCESSES: dict[str, tuple[int, int | None]] = {
    "fork": (57, None), "vfork": (58, None), "wait4": (61, 260), "waitid": (247, 95), "setsid": (112, 157),
    "setpgid": (109, 154),
}  # fmt: skip
# Copies of descriptors and their flags; F_SETOWN and F_SETSIG would have the kernel signal other processes.
_FCNTL = (72, 25)
_FCNTL_ALLOWED = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
_SET_FLAGS, _O_ASYNC = 4, 0x2000
# Refused as for what is no terminal: opening a file through a function (`tempfile`) then sets flags by `fcntl`.
_IOCTL = (16, 29)
_CLONE, _CLONE3 = (56, 220), 435
_CLONE_NEW = 0x7E020080  # every CLONE_NEW* flag
PIVOT_ROOT = (155, 41)

_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def architecture() -> int:
    """Column of the tables: 0 for x86-64, 1 for AArch64.

    Raises: OSError for other machines.
    """
    machine = platform.machine()
    if machine not in _AUDIT_ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"system call numbers of {machine} are not known")
    return list(_AUDIT_ARCHITECTURES).index(machine)


def filter_program(processes: bool) -> bytes:
    """The filter in the kernel's format (struct sock_filter)."""
    column = architecture()
    audit = list(_AUDIT_ARCHITECTURES.values())[column]
    table = _ALLOWED | (_PROCESSES if processes else {})
    numbers = [row[column] for row in table.values() if row[column] is not None]
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),  # the architecture of the call
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # its number
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        # The C library then falls back to `clone`, whose flags a filter can read.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
        (_EQUAL, 0, 1, _IOCTL[column]),
        (_RETURN, 0, 0, _REFUSE | errno.ENOTTY),
    ]
    for number in numbers:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    code += [(_EQUAL, 0, 2 * len(_FCNTL_ALLOWED) + 6, _FCNTL[column]), (_LOAD, 0, 0, 24)]  # the second argument
    for command in _FCNTL_ALLOWED:
        code += [(_EQUAL, 0, 1, command), (_RETURN, 0, 0, _ALLOW)]
    code += [
        (_EQUAL, 0, 3, _SET_FLAGS),
        (_LOAD, 0, 0, 32),  # the third argument
        (_ANY_BIT, 1, 0, _O_ASYNC),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
    ]
    if processes:
        code += [
            (_EQUAL, 0, 3, _CLONE[column]),
            (_LOAD, 0, 0, 16),  # lower half of the first argument
            (_ANY_BIT, 1, 0, _CLONE_NEW),
            (_RETURN, 0, 0, _ALLOW),
        ]
    code.append((_RETURN, 0, 0, _REFUSE | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *line) for line in code)
