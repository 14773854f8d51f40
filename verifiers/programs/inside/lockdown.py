"""What a process gives up, step by step, before it runs a program that nobody trusts."""

import ctypes
import errno
import os
import resource
import struct
from typing import Any

from . import syscalls  # relative: there is no probinf here

NOBODY = 65534
_NEW_NS, _NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_PID, _NEW_NET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 8, 32, 4096
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 16384, 1 << 18, 2
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _CAPBSET_DROP = 1, 4, 22, 24
_SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS, _CAP_AMBIENT, _AMBIENT_CLEAR = 36, 38, 47, 4
_SECCOMP_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_LAST_CAPABILITY = 40

_libc = ctypes.CDLL(None, use_errno=True)


def become_nobody() -> None:
    """Root becomes an unprivileged user, for good; anyone else stays who he is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def enter_namespaces() -> None:
    """New user, mount, network, IPC and host-name namespaces; children go into a new process namespace."""
    user, group = os.geteuid(), os.getegid()
    # After a change of user, the files of /proc/self would belong to root.
    _prctl(_SET_DUMPABLE, 1)
    _unshare(_NEW_USER | _NEW_NS | _NEW_NET | _NEW_IPC | _NEW_UTS | _NEW_PID)
    for file, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {user} 1"),
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        with open(f"/proc/self/{file}", "w") as out:
            out.write(line)


def enter_empty_root() -> None:
    """Leave the file system behind for an empty one, which is read-only but for the place of /tmp."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=64k,nr_inodes=16,mode=755")
    os.chdir("/tmp")
    os.mkdir("tmp")
    # The new root lies over the old one, which is then taken away from below.
    number = syscalls.PIVOT_ROOT[syscalls.architecture()]
    _check(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")
    _mount(None, "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def enter_cell(disk: int) -> None:
    """Namespaces of this program's own: children see no other process, and an empty /tmp that vanishes with them."""
    _unshare(_NEW_NS | _NEW_PID | _NEW_IPC)
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, f"size={disk},nr_inodes=1000,mode=700")


def adopt_orphans() -> None:
    """Processes whose parents die become children of this one, which can then end them."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends."""
    _prctl(_SET_PDEATHSIG, 9)


def hide_memory() -> None:
    """No process of the same user may read this one's memory or open its descriptors."""
    _prctl(_SET_DUMPABLE, 0)


def set_limits(limits: dict[str, Any], tasks: int) -> None:
    """Hard limits; `tasks` counts processes and threads of the same user that are there besides this one."""
    for what, value in (
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_FSIZE, limits["disk"]),
        (resource.RLIMIT_NPROC, tasks + limits["processes"]),
        (resource.RLIMIT_NOFILE, limits["files"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def drop_capabilities() -> None:
    """No capability, and no program that is executed can bring one back."""
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # refused without CAP_SETPCAP: then there is none to drop
    _libc.prctl(_CAP_AMBIENT, _AMBIENT_CLEAR, 0, 0, 0)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _check(_libc.capset(header, bytes(24)), "capset")


def filter_system_calls(processes: bool) -> None:
    """Install the filter; it holds for all children and cannot be taken off."""
    program = syscalls.filter_program(processes)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _check(_libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.c_char_p(header), 0, 0), "seccomp")


def capabilities() -> bytes:
    """The effective, permitted and inheritable sets of this process, as the kernel writes them."""
    header, data = struct.pack("=Ii", _CAPABILITY_VERSION, 0), ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    return data.raw


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, options)]
    result = _libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3])
    _check(result, f"mount on {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno() or errno.EPERM
        raise OSError(number, f"{what}: {os.strerror(number)}")
