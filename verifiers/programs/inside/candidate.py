"""The untrusted side: defines the program's function, then answers questions until the other side hangs up.

Everything here shares an interpreter with the program and may be tampered with by it. That is why nothing here
knows a test or an expected value, and why all that leaves is the answer to a question.
"""

import io
import sys
import types
from typing import Any

from . import frames
from .known import Classes
from .peer import Peer

_FRAMES = 25  # of this harness, which do not count against the program's recursion limit


class _Candidate(Peer):
    ahead = True

    def root(self, value: Any) -> Any:
        """The object that is tested, which is asked whatever it is."""
        return {"@": [self.known.add(value), {"lent": self.lend(value)}]}

    def ask(self, number: int, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in ("lost", "refused"):
            raise AttributeError(f"an object of the tests is not asked for {args[0]}")
        return super().ask(number, name, *args, **kwargs)


def serve(program: int, calls: int, answers: int, limit: int) -> None:
    """Run the program of the file `program`, then answer one question after the other."""
    payload = frames.read_all(program)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # this process may be killed at any time
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module  # dataclasses look their own module up
    peer = _Candidate(calls, answers, limit, Classes(module.__dict__), -1)
    sys.setrecursionlimit(sys.getrecursionlimit() + _FRAMES)
    peer.send(peer.attempt(lambda: _load(module, payload["source"], payload["entry_point"]), "", peer.root))
    while True:
        peer.classes.shared.update(peer.receive()["classes"])


def _load(module: types.ModuleType, source: str, entry_point: str) -> Any:
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    if entry_point not in module.__dict__:
        raise NameError(f"the program defines no {entry_point}")
    return module.__dict__[entry_point]
