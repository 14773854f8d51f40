"""The untrusted side: defines the program's function, then answers calls until the other side hangs up.

Everything here shares an interpreter with the program and may be tampered with by it. That is why nothing here
knows a test or an expected value, and why all that leaves is the answer to a call.
"""

import io
import sys
import types
from typing import Any

from . import wire


def serve(program: int, calls: int, answers: int, limit: int) -> None:
    """Run the program of the file `program`, then one call after the other."""
    payload = wire.read_all(program)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # this process may be killed at any time
    try:
        function = _load(payload["source"], payload["entry_point"])
    except BaseException as error:  # noqa: B902
        wire.send(answers, _raised(error), limit)
        return
    wire.send(answers, {"ready": True}, limit)
    while True:
        arguments = wire.decode(wire.receive(calls, limit))
        try:
            answer = {"value": wire.encode(function(*arguments[0], **arguments[1]))}
        except BaseException as error:  # noqa: B902
            answer = _raised(error)
        try:
            wire.send(answers, answer, limit)
        except wire.TooLarge:
            wire.send(answers, {"flood": True}, limit)


def _load(source: str, entry_point: str) -> Any:
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module  # dataclasses look their own module up
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    if entry_point not in module.__dict__:
        raise NameError(f"the program defines no {entry_point}")
    return module.__dict__[entry_point]


def _raised(error: BaseException) -> dict[str, list[str]]:
    try:
        text = str(error)[:500]
    except BaseException:  # noqa: B902
        text = ""
    return {"raised": [str(type(error).__name__)[:100], text]}
