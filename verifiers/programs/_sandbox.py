"""The sandbox: runs programs that nobody trusts, and says whether they pass tests that they cannot see."""

import atexit
import functools
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from probinf._arguments import is_count
from probinf.verifiers.programs._limits import Limits
from probinf.verifiers.programs._outcome import Outcome
from probinf.verifiers.programs._worker import SandboxError, Worker

LAYERS = ("identity", "namespaces", "syscalls")


class Trial(NamedTuple):
    """A program, the function that it must define, and the tests of it.

    `tests` define `check(candidate)`; `setup` runs before them, for names that they use.
    """

    program: str
    entry_point: str
    tests: str
    setup: str = ""


class Sandbox:
    """Runs Python programs and their tests in separate, locked-down processes; Linux only.

    Law: an outcome is PASSED only if `check` returned, having asked the program's function through messages of
    data. The program shares no interpreter, memory, descriptor or file with the tests and the verdict, so there is
    nothing in its reach that could be forged; what it can do is answer.

    Layers, each tried at the start by a process that is locked down like a program's:
    `identity` runs as an unprivileged user (root becomes nobody); `namespaces` gives each program an empty file system,
    no network, and no process but its own; `syscalls` refuses what no computation needs (sockets, signals to others,
    execution of files, and new processes unless `limits.processes` allows them). Limits, no capabilities and no new
    privileges hold always. Not guarded against: bugs of the kernel, channels of time and cache, and a program that has
    learned the answers by heart. docs/sandbox.md tells what each layer is for.

    `workers` programs run at a time. Use as a context manager, or `close` it.

    Raises: SandboxError where a layer does not hold on this machine (nothing weaker is run in its place), and
    on systems other than Linux; ValueError for an unknown layer or fewer than one worker.
    """

    def __init__(self, limits: Limits = Limits(), *, workers: int = 1, layers: Sequence[str] = LAYERS):  # noqa: B008
        if not is_count(workers):
            raise ValueError(f"workers must be at least 1, but it is {workers}")
        if unknown := sorted(set(layers) - set(LAYERS)):
            raise ValueError(f"unknown layers {unknown}: the layers are {list(LAYERS)}")
        if not sys.platform.startswith("linux"):
            raise SandboxError(f"programs can be run safely on Linux only, and this is {sys.platform}")
        self.limits, self.layers, self.workers = limits, tuple(layers), workers
        self._start = functools.partial(Worker, self.layers, limits)
        self._lock, self._closed = threading.Lock(), False
        self._all: list[Worker] = []
        self._idle: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        self._idle.put(self._begin())  # so that a layer that is missing is reported here
        for _ in range(workers - 1):
            self._idle.put(None)

    def judge(self, trial: Trial) -> Outcome:
        """Run one program against its tests; may be called from several threads.

        Raises: ValueError where the tests cannot run, whatever the program; SandboxError where the sandbox broke.
        """
        worker = self._idle.get()
        try:
            self._check_open()  # it may have been closed while this waited
            worker = worker or self._begin()
            outcome = worker.judge(trial.program, trial.entry_point, trial.setup, trial.tests)
        except ValueError:
            self._idle.put(worker)
            raise
        except BaseException:  # broken, or interrupted in the middle of a run: the next call starts another
            self._end(worker)
            self._idle.put(None)
            raise
        self._idle.put(worker)
        return outcome

    def judge_all(self, trials: Iterable[Trial], progress: Callable[[Outcome], Any] | None = None) -> list[Outcome]:
        """Run programs on all workers; `progress` is called with each outcome, in order."""
        outcomes = []
        with ThreadPoolExecutor(self.workers) as pool:
            for outcome in pool.map(self.judge, trials):
                outcomes.append(outcome)
                if progress:
                    progress(outcome)
        return outcomes

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            while self._all:
                self._all.pop().close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> Worker:
        worker = self._start()
        try:
            with self._lock:
                self._check_open()
                self._all.append(worker)
        except SandboxError:
            worker.close()
            raise
        return worker

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("this sandbox has been closed")

    def _end(self, worker: Worker | None) -> None:
        with self._lock:
            if worker in self._all:
                self._all.remove(worker)
                worker.close()


@functools.cache
def shared_sandbox() -> Sandbox:
    """One sandbox with all layers and the default limits, started at the first call and ended with the interpreter."""
    sandbox = Sandbox()
    atexit.register(sandbox.close)
    return sandbox
