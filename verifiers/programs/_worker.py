"""One locked-down process that is forked for program after program, seen from outside."""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probinf.verifiers.programs._limits import Limits
from probinf.verifiers.programs._outcome import Outcome, ProgramStatus
from probinf.verifiers.programs.inside import frames

_START = "import sys; sys.path.insert(0, {folder!r}); from inside.zygote import main; main({descriptor})"
_SHOWN = 4096  # characters of output that an outcome keeps
_PATIENCE = 30.0  # seconds in which a worker must start, and in which killed processes must be gone
_FAREWELL = 2.0  # seconds in which a worker ends by itself when it is hung up on
_NOBODY = 65534
_VERDICTS = {
    "passed": ProgramStatus.PASSED,
    "failed": ProgramStatus.FAILED,
    "raised": ProgramStatus.ERROR,
    "malformed": ProgramStatus.ERROR,
    "flood": ProgramStatus.OUTPUT_FLOOD,
    "unsupported": ProgramStatus.UNSUPPORTED,
}


class SandboxError(RuntimeError):
    """The sandbox cannot be what was asked for, or broke; nothing is said about a program."""


class Worker:
    """Starts the process at construction and runs one program at a time.

    Raises: SandboxError where a layer that was asked for does not hold on this machine.
    """

    def __init__(self, layers: Sequence[str], limits: Limits):
        self.limits = limits
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        start = _START.format(folder=str(Path(__file__).parent), descriptor=theirs.fileno())
        # No site packages, no user settings, no current directory; sets have the same order in each run.
        command = [sys.executable, "-s", "-S", "-P", "-B", "-c", start, json.dumps(list(layers))]
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env={"PYTHONHASHSEED": "0"},
                cwd="/",
                start_new_session=True,
            )
        try:
            self._greet(layers)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process and all that it has started."""
        self.control.close()
        try:
            self.process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def judge(self, program: str, entry_point: str, setup: str, tests: str) -> Outcome:
        """Run `tests`, which define `check(candidate)`, against the function `entry_point` of the program.

        Raises: ValueError where the tests cannot run, whatever the program; SandboxError where the sandbox broke.
        """
        try:
            size = len(program.encode())
        except UnicodeEncodeError:
            return Outcome(ProgramStatus.REFUSED, "the program is not text: it holds lone surrogates")
        if size > self.limits.source:
            return Outcome(ProgramStatus.REFUSED, f"{size} bytes of source, where {self.limits.source} are allowed")
        source = _file({"source": program, "entry_point": entry_point})
        checks = _file({"setup": setup, "tests": tests, "entry_point": entry_point})
        (calls, calls_in), (answers, answers_in), (printed, prints), (verdict, verdict_in) = (
            os.pipe() for _ in range(4)
        )
        roles = {"candidate": [source, calls, answers_in, prints], "judge": [checks, calls_in, answers, verdict_in]}
        return self._outcome(self._run(roles, {"output": printed, "verdict": verdict}))

    def _greet(self, layers: Sequence[str]) -> None:
        self.control.settimeout(_PATIENCE)
        try:
            greeting = json.loads(self.control.recv(2**16) or b"{}")
        except OSError as error:
            raise SandboxError(f"the sandbox did not start within {_PATIENCE} s") from error
        if not greeting:
            assert self.process.stderr is not None
            raise SandboxError(f"the sandbox did not start: {self.process.stderr.read().decode(errors='replace')}")
        if "refused" in greeting:
            raise SandboxError(f"{greeting['refused']}. {_ADVICE}")
        verdict, verdict_in = os.pipe()
        found = _message(self._run({"probe": [verdict_in]}, {"verdict": verdict}).verdict)
        missing = ["limits: a child did not start"] if found is None else _missing(found, layers)
        if missing:
            raise SandboxError(f"these layers do not hold here: {'; '.join(missing)}. {_ADVICE}")

    def _run(self, roles: dict[str, list[int]], streams: dict[str, int]) -> "_Run":
        """Fork the children, read what they write, kill what is left when one ends, floods or takes too long."""
        request = {"roles": [[role, len(mine)] for role, mine in roles.items()], "limits": self.limits.message()}
        theirs = [descriptor for mine in roles.values() for descriptor in mine]
        run, begin = _Run(), time.monotonic()
        try:
            try:
                socket.send_fds(self.control, [json.dumps(request).encode()], theirs)
            finally:
                for descriptor in theirs:
                    os.close(descriptor)
            with selectors.DefaultSelector() as selector:
                selector.register(self.control, selectors.EVENT_READ, "control")
                for name, descriptor in streams.items():
                    selector.register(descriptor, selectors.EVENT_READ, name)
                self._follow(run, selector, begin)
            os.set_blocking(streams["verdict"], False)
            _read_rest(streams["verdict"], run.verdict)
        except (OSError, EOFError) as error:
            raise SandboxError(f"the sandbox broke: {error or 'its process has ended'}; start another") from error
        finally:
            for descriptor in streams.values():
                os.close(descriptor)
        run.seconds = time.monotonic() - begin
        return run

    def _follow(self, run: "_Run", selector: selectors.BaseSelector, begin: float) -> None:
        deadline, told = begin + self.limits.wall_seconds, False
        while True:
            events = selector.select(max(0.0, deadline - time.monotonic()))
            if not events:
                if told:
                    raise EOFError("killed processes are still there")
                run.cause = ProgramStatus.TIMED_OUT
            for key, _ in events:
                if key.data == "control":
                    report = json.loads(self.control.recv(2**16) or b"{}")
                    if not report:
                        raise EOFError
                    if "over" in report:
                        return
                    run.ends[report["role"]] = _End(**report)
                    continue
                part = os.read(key.fd, 2**16)
                if not part:
                    selector.unregister(key.fd)
                elif key.data == "verdict":
                    run.verdict += part
                else:
                    run.printed += len(part)
                    run.output += part[: max(0, _SHOWN - len(run.output))]
                    if run.printed > self.limits.output:
                        run.cause = run.cause or ProgramStatus.OUTPUT_FLOOD
            if not told and (run.cause or "judge" in run.ends):
                self.control.send(b'{"kill": true}')
                told, deadline = True, time.monotonic() + _PATIENCE

    def _outcome(self, run: "_Run") -> Outcome:
        status, detail = self._status(run)
        return Outcome(
            status,
            detail,
            run.output.decode(errors="replace"),
            sum(end.cpu for end in run.ends.values()),
            run.seconds,
            run.ends["candidate"].memory,
        )

    def _status(self, run: "_Run") -> tuple[ProgramStatus, str]:
        if run.cause is ProgramStatus.TIMED_OUT:
            return run.cause, f"more than {self.limits.wall_seconds} s"
        if run.cause:
            return run.cause, f"printed more than {self.limits.output} bytes"
        message = _message(run.verdict)
        if message is None:
            return self._death(run.ends["judge"], "the process of the tests")
        word, detail = message
        if word in ("broken", "unsendable"):
            raise ValueError(f"these tests cannot be used: {detail}")
        if word == "gone":
            return self._death(run.ends["candidate"], "the program")
        if word == "raised" and detail.startswith("MemoryError"):
            return ProgramStatus.MEMORY, detail
        return _VERDICTS[word], detail

    def _death(self, end: "_End", who: str) -> tuple[ProgramStatus, str]:
        """Why a process gave no answer; never PASSED."""
        if os.WIFSIGNALED(end.status):
            # The kernel enforces its limit by SIGKILL and counts in ticks: on a busy machine up to a fifth early.
            if os.WTERMSIG(end.status) == signal.SIGKILL and end.cpu > self.limits.processor_seconds / 2:
                return ProgramStatus.TIMED_OUT, f"{who} used its {self.limits.processor_seconds} s of processor time"
            return ProgramStatus.KILLED, f"{who} died of {signal.Signals(os.WTERMSIG(end.status)).name}"
        return ProgramStatus.ERROR, f"{who} ended with exit code {os.waitstatus_to_exitcode(end.status)}"


_ADVICE = "Ask for fewer layers, Sandbox(layers=...), only where you accept what docs/sandbox.md says of each"


@dataclass(frozen=True)
class _End:
    """How one child ended: wait status, processor seconds, peak memory in bytes."""

    role: str
    status: int
    cpu: float
    memory: int


@dataclass
class _Run:
    """What is known of a run."""

    ends: dict[str, _End] = field(default_factory=dict)
    verdict: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    printed: int = 0
    cause: ProgramStatus | None = None
    seconds: float = 0.0


def _missing(found: dict[str, Any], layers: Sequence[str]) -> list[str]:
    """Layers that a locked-down child has been seen to escape."""
    failures = {
        "limits": found["capabilities"],
        "identity": found["user"] != (_NOBODY if os.geteuid() == 0 or "namespaces" in layers else None),
        "namespaces": found["process"] != 1 or found["root"] != ["tmp"],
        "syscalls": found["socket"] or found["signal"],
    }
    return [f"{layer} ({found})" for layer in ("limits", *layers) if failures[layer]]


def _message(data: bytearray) -> Any:
    """The one message that a judge has sent, or None where it died before."""
    header, content = bytes(data[: frames.HEADER.size]), bytes(data[frames.HEADER.size :])
    whole = len(header) == frames.HEADER.size and frames.HEADER.unpack(header)[0] == len(content)
    return frames.parse(content) if whole else None


def _file(payload: dict[str, str]) -> int:
    """A file in memory, which the child reads when nothing else is left to it."""
    descriptor = os.memfd_create("payload")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(json.dumps(payload).encode())
    return descriptor


def _read_rest(descriptor: int, into: bytearray) -> None:
    with contextlib.suppress(BlockingIOError):
        while part := os.read(descriptor, 2**16):
            into += part
