"""Hostile programs: none passes, none harms the host, each ends in time."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from probinf.verifiers.programs import LAYERS, Limits, Outcome, ProgramStatus, Sandbox, SandboxError, Trial
from probinf.verifiers.programs._worker import _missing
from tests.verifiers.programs.hostile import HOSTILE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox runs on Linux only")

SECRET = 982451653  # the right answer, which no program is told
TESTS = f"def check(candidate):\n    assert candidate(3) == {SECRET}\n"
# Of this process alone: another one may attack its own host at the same time.
MARK = f"probinf-hostile-{os.getpid()}"
LIMITS = Limits(processor_seconds=1, wall_seconds=5.0, memory=256 * 2**20, output=2**16)
FORKING = Limits(processor_seconds=1, wall_seconds=1.0, memory=256 * 2**20, output=2**16, processes=8)
PLACES = ("/", "/tmp", "/var/tmp", "/dev/shm", "/etc", "/home")


class Host:
    """What on this machine an attack could reach."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.canary = self.folder / "canary"
        self.canary.write_text(str(SECRET))
        self.canary.chmod(0o666)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0{MARK}")
        self.abstract.listen()
        self.abstract.setblocking(False)

    def trial(self, name: str) -> Trial:
        source = HOSTILE[name].source.replace("CANARY", str(self.canary)).replace("MARK", MARK)
        return Trial(source.replace("PORT", str(self.listener.getsockname()[1])), "f", TESTS)

    def check_unharmed(self) -> None:
        assert self.canary.read_text() == str(SECRET)
        assert os.listdir(self.folder) == ["canary"]
        for listening in (self.listener, self.abstract):
            with pytest.raises(BlockingIOError):
                listening.accept()
        # What a sandbox of another worker holds for a moment is gone soon; a leak stays.
        left, deadline = leftovers(), time.monotonic() + 20
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left &= leftovers()
        assert not left
        keys = [line.split()[0] for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
        assert "7919" not in keys

    def close(self) -> None:
        self.listener.close()
        self.abstract.close()
        shutil.rmtree(self.folder)


def leftovers() -> set[str]:
    """Files of attacks by this process, and working directories of programs of any."""
    files = (f"{place}/{file}" for place in PLACES for file in os.listdir(place))
    return {file for file in files if MARK in file or "/probinf-program-" in file}


def descendants(process: int) -> list[int]:
    """Numbers of the living processes below one."""
    parents = {}
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(entry)] = int(parent)
    found, front = [], [process]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.close()


@pytest.fixture(scope="module")
def outcomes(host: Host) -> dict[str, Outcome]:
    """All programs, one after the other on two workers, with every layer."""
    with Sandbox(LIMITS, workers=2) as sandbox:
        found = dict(zip(HOSTILE, sandbox.judge_all(map(host.trial, HOSTILE)), strict=True))
        # A launcher and its forking process for each worker, and nothing that a program has left.
        alive = descendants(os.getpid())
        assert len([process for process in alive if _is_sandbox(process)]) == 4
        # After all of them, the same processes still tell right from wrong.
        assert sandbox.judge(Trial(f"def f(x):\n    return {SECRET}", "f", TESTS)).passed
    assert not [process for process in descendants(os.getpid()) if _is_sandbox(process)]
    return found


def _is_sandbox(process: int) -> bool:
    try:
        return b"inside.zygote" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_ends_as_it_must(name: str, outcomes: dict[str, Outcome]):
    outcome = outcomes[name]
    assert outcome.status is not ProgramStatus.PASSED
    assert outcome.status in HOSTILE[name].ends, outcome
    # Wall time, and what it takes to end the processes on a busy machine.
    assert outcome.wall_seconds < LIMITS.wall_seconds + 3.0
    assert len(outcome.output) <= 4096


def test_the_host_is_unharmed(host: Host, outcomes: dict[str, Outcome]):
    assert len(outcomes) >= 20
    host.check_unharmed()


def test_right_answers_pass_however_they_are_sent(host: Host):
    """The attacks on descriptor 5 hit the channel of answers: an answer written by hand is taken."""
    by_hand = f"""
import json, os, struct
def f(x):
    data = json.dumps({{"value": {SECRET}}}).encode()
    os.write(5, struct.pack("!I", len(data)) + data)
    return 0
"""
    with Sandbox(LIMITS) as sandbox:
        assert sandbox.judge(Trial(by_hand, "f", TESTS)).passed


LOOPS = (
    "for got, right in zip(map(candidate, [3, 4]), [7, 8]):\n        assert got == right",
    "assert all(got == 7 for got in map(candidate, [3, 4]))",
    "assert list(map(candidate, [3, 4])) == []",
)


@pytest.mark.parametrize("error", ["StopIteration", "StopAsyncIteration", "type('Own', (StopIteration,), {})"])
def test_a_program_cannot_end_the_loop_of_its_tests(error: str):
    """Each of these would pass if what ends an iteration came out of the candidate as it is."""
    with Sandbox(LIMITS) as sandbox:
        for loop in LOOPS:
            trial = Trial(f"def f(x):\n    raise {error}('done')", "f", f"def check(candidate):\n    {loop}\n")
            assert sandbox.judge(trial).status is ProgramStatus.ERROR, (loop, sandbox.judge(trial))


def test_values_handed_back_do_not_break_the_batch():
    """What fits as an answer no longer fits as an argument among others: the program's flood, not the tests' fault."""
    tests = "def check(candidate):\n    assert candidate(candidate('x')) == 'x'\n"
    fits = LIMITS.output - len(b'{"value": ""}')
    with Sandbox(LIMITS) as sandbox:
        long = Trial(f"def f(x):\n    return 'x' * {fits}", "f", tests)
        outcomes = sandbox.judge_all([long, Trial("def f(x):\n    return x", "f", tests)])
        assert [outcome.status for outcome in outcomes] == [ProgramStatus.OUTPUT_FLOOD, ProgramStatus.PASSED]


def test_tests_that_never_ask_are_refused():
    with Sandbox(LIMITS) as sandbox:
        for tests in ("for x in []:\n        assert candidate(x)", "assert callable(candidate)"):
            with pytest.raises(ValueError, match="without calling the candidate"):
                sandbox.judge(Trial("def f(x):\n    return 0", "f", f"def check(candidate):\n    {tests}\n"))


def test_descriptors_can_still_be_copied_and_set():
    program = f"""
import ctypes, os
libc, (reading, writing) = ctypes.CDLL(None), os.pipe()
copy = os.dup(reading)
assert libc.fcntl(copy, 4, libc.fcntl(copy, 3) | os.O_NONBLOCK) == 0 and libc.fcntl(copy, 2, 1) == 0
def f(x):
    return {SECRET} if libc.fcntl(copy, 1) == 1 else 0
"""
    with Sandbox(LIMITS) as sandbox:
        assert sandbox.judge(Trial(program, "f", TESTS)).passed


NAMESPACES = (
    "fork bomb", "thread bomb", "daemon", "kill everyone", "kill the parent", "kill by number", "trace the parent",
    "connect", "abstract socket", "write to a file of the host", "read of a secret", "escape by links and ..",
    "memory that outlives", "memory of others", "execution of a setuid program", "shell",
)  # fmt: skip
SYSTEM_CALLS = (
    "fork bomb", "daemon", "kill everyone", "kill the parent", "trace the parent", "connect", "bind", "abstract socket",
    "memory that outlives", "execution of a setuid program", "shell", "become root", "signal by a descriptor",
)  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "limits", "names"),
    [
        (("identity", "namespaces"), FORKING, NAMESPACES),
        (("identity", "syscalls"), LIMITS, SYSTEM_CALLS),
        (("identity",), FORKING, ("daemon", "memory of others", "frames and objects")),
    ],
    ids=["namespaces", "syscalls", "identity"],
)
def test_each_layer_holds_alone(layers: tuple[str, ...], limits: Limits, names: tuple[str, ...], host: Host):
    if os.geteuid() != 0 and "namespaces" not in layers:
        pytest.skip("without namespaces, only root can give up its identity")
    with Sandbox(limits, layers=layers) as sandbox:
        for name, outcome in zip(names, sandbox.judge_all(map(host.trial, names)), strict=True):
            assert not outcome.passed and "77" not in outcome.detail, (name, outcome)
        # A process that a program has left would count as one of the sandbox, of which it is a copy.
        expected = 2 if "namespaces" in layers else 1
        assert len([process for process in descendants(os.getpid()) if _is_sandbox(process)]) == expected
    host.check_unharmed()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs an identity of its own without namespaces")
def test_without_namespaces_the_secret_is_read(host: Host):
    """The attack is real: it is the namespaces that hold it off."""
    with Sandbox(LIMITS, layers=("identity", "syscalls")) as sandbox:
        assert sandbox.judge(host.trial("read of a secret")).passed


def test_a_layer_that_does_not_hold_is_reported():
    good = {"user": 65534, "process": 1, "root": ["tmp"], "capabilities": False, "socket": False, "signal": False}
    layers = ("identity", "namespaces", "syscalls")
    assert not _missing(good, layers)
    for change in ({"user": 0}, {"process": 9}, {"root": ["etc", "tmp"]}, {"capabilities": True}, {"socket": True}):
        assert len(_missing(good | change, layers)) == 1


# The host's side alone, without what the package imports (jax takes seconds).
_ELSEWHERE = """
import json, sys, types
for name in ("probinf", "probinf.verifiers", "probinf.verifiers.programs"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [name.replace(".", "/")]
from probinf.verifiers.programs._limits import Limits
from probinf.verifiers.programs._sandbox import Sandbox, SandboxError, Trial
layers, sources = json.loads(sys.argv[1])
tests = "def check(candidate):\\n    assert candidate(3) == 4\\n"
try:
    with Sandbox(Limits(processor_seconds=1, wall_seconds=5.0), layers=layers) as sandbox:
        for source in sources:
            print(sandbox.judge(Trial(source, "f", tests)).status.value)
except SandboxError as error:
    print("refused:", error)
"""
needs_unshare = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="only root needs to become someone else to test this"
)


def elsewhere(command: list[str], layers: tuple[str, ...], sources: list[str]) -> list[str]:
    """What is printed by the sandbox of another process, which is entered by a command."""
    command = [*command, sys.executable, "-c", _ELSEWHERE, json.dumps([layers, sources])]
    return subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    ).stdout.splitlines()


@needs_unshare
def test_an_ordinary_user_has_all_layers():
    names = ("fork bomb", "kill everyone", "memory of others", "daemon", "become root")
    sources = ["def f(x): return x + 1", *(HOSTILE[name].source for name in names)]
    printed = elsewhere(["unshare", "--user", "--map-user=1000", "--map-group=1000"], LAYERS, sources)
    assert printed == ["passed", "error", "failed", "failed", "failed", "failed"]


@needs_unshare
@pytest.mark.parametrize(
    ("layers", "named"), [(LAYERS, "identity"), (("namespaces",), "namespaces"), (("syscalls", "identity"), "identity")]
)
def test_a_machine_that_cannot_is_refused(layers: tuple[str, ...], named: str):
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    (printed,) = elsewhere(["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"], layers, ["f = abs"])
    assert printed.startswith(f"refused: layer {named}: ")


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="unknown layers"):
        Sandbox(layers=("magic",))
    with pytest.raises(ValueError, match="workers"):
        Sandbox(workers=0)
    for bad in ({"memory": 2**20}, {"wall_seconds": 0.0}, {"files": 2}, {"processes": -1}, {"output": 9}):
        arguments: dict[str, Any] = bad
        with pytest.raises(ValueError, match=next(iter(bad))):
            Limits(**arguments)
    sandbox = Sandbox(LIMITS)
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.judge(Trial("", "f", TESTS))


def test_a_broken_worker_is_replaced():
    with Sandbox(LIMITS) as sandbox:
        held = len(os.listdir("/proc/self/fd"))
        sandbox._all[0].process.kill()
        time.sleep(0.1)
        with pytest.raises(SandboxError, match="broke"):
            sandbox.judge(Trial("", "f", TESTS))
        assert sandbox.judge(Trial(f"f = lambda x: {SECRET}", "f", TESTS)).passed
        assert len(os.listdir("/proc/self/fd")) == held


def test_who_waits_while_it_is_closed_starts_nothing():
    sandbox = Sandbox(LIMITS)
    endless = Trial("import time\ndef f(x):\n    time.sleep(99)", "f", TESTS)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(sandbox.judge, endless) for _ in range(2)]
        time.sleep(0.5)
        sandbox.close()
        errors = sorted(str(future.exception()) for future in waiting)
    assert "broke" in errors[0] and "closed" in errors[1]
    assert not sandbox._all and not [process for process in descendants(os.getpid()) if _is_sandbox(process)]
