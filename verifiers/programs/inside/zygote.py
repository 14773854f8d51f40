"""The process that is locked down once and forked for every program; started by `Worker`, never imported by it.

It never sees a program, a test or an expected value: those stand in files that only the children read, so there is
nothing of an earlier task to be found in the memory that a child inherits.
"""

import gc
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from typing import Any

from . import candidate, judge, lockdown, probe, stdlib


def main(descriptor: int) -> None:
    """Lock down what `sys.argv` names, report, then fork candidates and judges until the other end hangs up."""
    control = socket.socket(fileno=descriptor)
    stdlib.load()
    layers = json.loads(sys.argv[1])
    os.environ.clear()
    sys.path[:] = []
    try:
        _lock_down(layers)
    except Exception as error:
        control.send(json.dumps({"refused": str(error)}).encode())
        return
    control.send(json.dumps({"ready": True}).encode())
    gc.collect()
    gc.freeze()
    _serve(control, layers)


def _lock_down(layers: list[str]) -> None:
    for layer, enter in _ENTER:
        if layer in layers:
            try:
                enter()
            except OSError as error:
                raise OSError(f"layer {layer}: {error}") from None
    lockdown.adopt_orphans()
    lockdown.hide_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_ENTER = (
    ("identity", lockdown.become_nobody),
    ("namespaces", lockdown.enter_namespaces),
    ("namespaces", lambda: _become_first_process()),
    ("namespaces", lockdown.enter_empty_root),
)


def _become_first_process() -> None:
    """Go on as process 1 of the new process namespace; when this one ends, the kernel ends all in it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    lockdown.die_with_parent()


def _serve(control: socket.socket, layers: list[str]) -> None:
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 2**16, 16)
        if not data:
            return
        request = json.loads(data)
        if "roles" not in request:  # told to kill what had just ended
            continue
        # With namespaces, /tmp is a file system of the child's own, which vanishes with it.
        directory = "/tmp" if "namespaces" in layers else tempfile.mkdtemp(prefix="probinf-program-")
        running, held = {}, iter(descriptors)
        for role, count in request["roles"]:
            mine = [next(held) for _ in range(count)]
            running[_fork(role, mine, request["limits"], layers, directory)] = role
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            if not _attend(control, running):
                return
        finally:
            if directory != "/tmp":
                shutil.rmtree(directory, ignore_errors=True)
        control.send(json.dumps({"over": True}).encode())


def _fork(role: str, descriptors: list[int], limits: dict[str, Any], layers: list[str], directory: str) -> int:
    """Start a child in a cell of its own by way of a process in between, and return its number."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            if "namespaces" in layers:
                lockdown.enter_cell(limits["disk"])
            child = os.fork()
            if child == 0:
                _be(role, descriptors, limits, layers, directory)
            os.write(writing, str(child).encode())
        finally:
            os._exit(0)
    os.close(writing)
    number = os.read(reading, 32)
    os.close(reading)
    os.waitpid(between, 0)
    return int(number)


def _be(role: str, descriptors: list[int], limits: dict[str, Any], layers: list[str], directory: str) -> None:
    """Lock this child down and play its part; never returns."""
    code = 1
    try:
        os.setsid()
        mine = _keep_only(descriptors)
        os.chdir(directory)
        lockdown.set_limits(limits, _OTHERS if "namespaces" in layers else _tasks_of_this_user())
        lockdown.drop_capabilities()
        if "syscalls" in layers:
            lockdown.filter_system_calls(limits["processes"] > 1)
        gc.enable()
        # The program's output is read and bounded; what tests print goes nowhere.
        output = mine.pop() if role == "candidate" else 0
        os.dup2(output, 1)
        os.dup2(output, 2)
        if output:
            os.close(output)
        _PARTS[role](*mine, limits["output"])
        code = 0
    except EOFError:
        code = 0  # the other side has hung up
    finally:
        os._exit(code)


# In the user namespace of one worker: the process that waits for it, itself, and the other child.
_OTHERS = 3
_PARTS = {"candidate": candidate.serve, "judge": judge.judge, "probe": probe.report}


def _tasks_of_this_user() -> int:
    """Processes and threads, which the limit of processes counts for the whole user."""
    count = 0
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{process}").st_uid in (os.geteuid(), 0):
                count += len(os.listdir(f"/proc/{process}/task"))
        except OSError:
            continue
    return count


def _keep_only(descriptors: list[int]) -> list[int]:
    """Close all but these and the standard streams, and give them the numbers from 3 on."""
    high = [os.dup(descriptor) for descriptor in descriptors]
    # Above all numbers in use, so that none is overwritten before it is moved.
    spare = [os.dup2(descriptor, 200 + place) for place, descriptor in enumerate(high)]
    moved = [os.dup2(descriptor, 3 + place) for place, descriptor in enumerate(spare)]
    os.closerange(3 + len(moved), 65536)
    return moved


def _attend(control: socket.socket, running: dict[int, str]) -> bool:
    """Wait for the children, kill them when told to, and report how they ended; false where the other end is gone."""
    watched = {os.pidfd_open(child): child for child in running}
    poll, there = select.poll(), True
    for descriptor in (control.fileno(), *watched):
        poll.register(descriptor, select.POLLIN)
    while watched:
        for descriptor, _ in poll.poll():
            if descriptor == control.fileno():
                if not control.recv(2**16):
                    there = False
                    poll.unregister(control)
                for child in watched.values():
                    os.kill(child, signal.SIGKILL)
                continue
            child = watched.pop(descriptor)
            poll.unregister(descriptor)
            os.close(descriptor)
            _, status, usage = os.wait4(child, 0)
            report = {
                "role": running[child],
                "status": status,
                "cpu": usage.ru_utime + usage.ru_stime,
                "memory": usage.ru_maxrss * 1024,
            }
            if there:
                control.send(json.dumps(report).encode())
    _end_strays()
    return there


def _end_strays() -> None:
    """Kill what a program left running; with a process namespace of its own nothing is left."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return
        with open("/proc/thread-self/children") as file:
            for child in file.read().split():
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.001)
