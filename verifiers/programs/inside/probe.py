"""What a locked-down child can still do: measured at the start, so that no layer is believed in by its name."""

import os
import socket

from . import frames, lockdown


def report(verdicts: int, limit: int) -> None:
    """Try, and send what was possible."""
    del limit
    found = {
        "user": os.geteuid(),
        "process": os.getpid(),
        "root": sorted(os.listdir("/")),
        "capabilities": any(lockdown.capabilities()),
        "socket": _possible(lambda: socket.socket().close()),
        "signal": _possible(lambda: os.kill(os.getpid(), 0)),
    }
    frames.send(verdicts, found, 2**16)


def _possible(attempt) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
