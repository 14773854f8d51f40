"""How a command ends: its exit codes, and the way out of the process."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

DONE, FAILED, USAGE, NOTHING_ACCEPTED, INTERRUPTED = 0, 1, 2, 3, 130

EXIT_CODES = (
    f"exit codes: {DONE} done; {FAILED} failed, with one sentence that says why; {USAGE} wrong usage; "
    f"{NOTHING_ACCEPTED} no text was accepted (generate); {INTERRUPTED} interrupted"
)


_noted = threading.Event()


@contextlib.contextmanager
def noting_interrupts() -> Iterator[None]:
    """Notes each Ctrl-C during the block, besides raising KeyboardInterrupt.

    Where the exception rises inside a call-back of compiled code, or in a destructor, it becomes another error or none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _noted.clear()
    before = signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _note(number: int, frame: FrameType | None) -> None:
    _noted.set()
    signal.default_int_handler(number, frame)


def was_interrupted(problem: BaseException | None = None) -> bool:
    """Whether Ctrl-C was pressed, or `problem` says so."""
    return _noted.is_set() or isinstance(problem, KeyboardInterrupt)


def interrupted(what: str | None = None) -> int:
    """Prints that a command was interrupted, and what it kept; returns the exit code."""
    print("probinf: interrupted" + (f"; {what}" if what else "."), file=sys.stderr)
    return INTERRUPTED


def leave(code: int) -> NoReturn:
    """End the process; after an interrupt at once, without the interpreter's shutdown.

    A compiled program that was under way when Ctrl-C came still runs on threads of the runtime. The shutdown would wait
    for its end, which may take minutes, and a thread that touches what the shutdown has already freed ends the process
    by signal 11. All files are whole at this point: they are written under another name and renamed.
    """
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
