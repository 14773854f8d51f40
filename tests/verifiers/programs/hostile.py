"""Programs that attack the sandbox, its host or the tests; the right answer is a number they are not told.

Each defines `f`, or tries not to. `CANARY`, `PORT` and `MARK` are filled in by the test. What a program finds out it
returns, so that such an attack passes as correct where it works; one that reaches something else ends with exit code
77, which is no end that it may have. Descriptor 5 is the one that answers go through.
"""

# ruff: noqa: E501 (programs on one line each)
from typing import NamedTuple

from probinf.verifiers.programs import ProgramStatus

FAILED, ERROR, UNSUPPORTED, TIMED_OUT, MEMORY, KILLED, FLOOD, REFUSED = (
    ProgramStatus.FAILED,
    ProgramStatus.ERROR,
    ProgramStatus.UNSUPPORTED,
    ProgramStatus.TIMED_OUT,
    ProgramStatus.MEMORY,
    ProgramStatus.KILLED,
    ProgramStatus.OUTPUT_FLOOD,
    ProgramStatus.REFUSED,
)


class Hostile(NamedTuple):
    """A program and the ways in which it may end."""

    source: str
    ends: tuple[ProgramStatus, ...]


def attempt(body: str, *ends: ProgramStatus) -> Hostile:
    """A function whose attack may raise, and which then gives a wrong answer."""
    indented = "\n".join(f"        {line}" for line in body.strip().splitlines())
    return Hostile(
        f"def f(x):\n    try:\n{indented}\n    except Exception:\n        pass\n    return 0\n", ends or (FAILED,)
    )


# Writes what a judge would send, to every descriptor that there may be.
_FORGE = """
import json, os, struct
for text in (["passed", ""], {"passed": True}, {"over": True}, {"role": "judge", "status": 0, "cpu": 0, "memory": 0}):
    data = json.dumps(text).encode()
    for descriptor in [3, 4, *range(6, 64)]:
        for message in (data, struct.pack("!I", len(data)) + data):
            try:
                os.write(descriptor, message)
            except OSError:
                pass
"""

HOSTILE = {
    # The machine's resources.
    "fork bomb": Hostile("import os\nwhile True:\n    os.fork()", (ERROR, TIMED_OUT)),
    "thread bomb": Hostile(
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()",
        (ERROR, TIMED_OUT),
    ),
    "busy threads": attempt(
        "import threading\ndef spin():\n    while True: pass\n"
        "for _ in range(8): threading.Thread(target=spin, daemon=True).start()\nspin()",
        FAILED, TIMED_OUT,
    ),
    "memory bomb": attempt("blocks = []\nwhile True: blocks.append(bytearray(10**7))", MEMORY, FAILED),
    "memory bomb, uncaught": Hostile("def f(x):\n    return len([0] * 10**10)", (MEMORY,)),
    "endless loop": Hostile("def f(x):\n    while True: pass", (TIMED_OUT,)),
    "endless loop at the start": Hostile("while True: pass", (TIMED_OUT,)),
    "endless loop that ignores signals": Hostile(
        "import signal\nfor number in range(1, 65):\n    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        (TIMED_OUT,),
    ),
    "sleep": Hostile("import time\ndef f(x):\n    time.sleep(1000)", (TIMED_OUT,)),
    "deep recursion": Hostile(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x + 1) + 1", (KILLED, MEMORY, ERROR, TIMED_OUT)
    ),
    "crash of the interpreter": Hostile("import ctypes\ndef f(x):\n    return ctypes.string_at(0)", (KILLED,)),
    "output flood": Hostile("def f(x):\n    while True: print('x' * 1000)", (FLOOD,)),
    "output flood on both streams": Hostile("import os\nwhile True:\n    os.write(2, b'x' * 4096)", (FLOOD,)),
    "huge return value": Hostile("def f(x):\n    return 'x' * 10**7", (FLOOD,)),
    "huge integer": Hostile("def f(x):\n    return 10**(10**6)", (FLOOD,)),
    "infinite generator": Hostile("def f(x):\n    while True: yield x", (FAILED,)),
    "list within itself": Hostile("def f(x):\n    a = []\n    a.append(a)\n    return a", (FAILED,)),
    "disk bomb": attempt(
        "for k in range(10**6):\n    with open(f'junk{k}', 'wb') as file: file.write(bytes(10**6))", FAILED, TIMED_OUT
    ),
    "source of a megabyte": Hostile("x = 1\n" * 200_000, (REFUSED,)),
    "source that is no text": Hostile("x = '\ud800'", (REFUSED,)),
    # Files, network, other processes.
    "write to a file of the host": attempt(
        "import os\nfor path in (r'CANARY', '/var/tmp/MARK', '/dev/shm/MARK', '/etc/MARK', '/MARK', '/home/MARK'):\n"
        "    try:\n        with open(path, 'w') as file: file.write('MARK')\n    except OSError: pass"
    ),
    "file in the temporary directory": attempt(
        "import os, tempfile\nwith open('/tmp/MARK', 'w') as file: file.write('MARK')\ntempfile.mkstemp(prefix='MARK')"
    ),
    "read of a secret": Hostile("def f(x):\n    return int(open(r'CANARY').read())", (ERROR,)),
    "escape by links and ..": attempt(
        "import os\nfor go in (lambda: os.symlink(r'CANARY', 'link'), lambda: os.link(r'CANARY', 'link'),\n"
        "           lambda: os.chdir('../../../..'), lambda: os.chroot('.'), lambda: os.chdir('..')):\n"
        "    try: go()\n    except OSError: pass\n"
        "for path in ('link', r'CANARY'[1:], '../../../..' + r'CANARY', '/proc/1/root' + r'CANARY'):\n"
        "    try: return int(open(path).read())\n    except OSError: pass"
    ),
    "connect": attempt(
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), timeout=1).sendall(b'MARK')\nimport os\nos._exit(77)"
    ),
    "bind": attempt("import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nimport os\nos._exit(77)"),
    "abstract socket": attempt("import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0MARK')\ns.send(b'MARK')\nimport os\nos._exit(77)"),
    "kill the parent": attempt("import os\nfor n in (9, 15, 19): os.kill(os.getppid(), n)", FAILED, KILLED),
    "kill everyone": attempt("import os, signal\nos.kill(-1, signal.SIGKILL)"),
    "kill by number": attempt(
        "import os\nfor pid in range(2, 40000):\n    try: os.kill(pid, 9)\n    except OSError: pass"
    ),
    # Five commands: the owner of a descriptor, as a number and a structure, its signal, notices of files, its switch.
    "signal by a descriptor": attempt(
        "import ctypes, os\nlibc, (reading, writing) = ctypes.CDLL(None), os.pipe()\n"
        "owner = (ctypes.c_int * 2)(1, os.getppid())\n"
        "for command, value in ((8, os.getppid()), (15, owner), (10, 9), (1026, 31), (4, 0x2000)):\n"
        "    if libc.fcntl(reading, command, value) != -1: os._exit(77)"
    ),
    "trace the parent": attempt(
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        "for pid in [os.getppid(), *range(1, 50)]:\n    libc.ptrace(16, pid, 0, 0)"
    ),
    "memory of others": attempt(
        "import os, re\nfor pid in filter(str.isdecimal, os.listdir('/proc')):\n    try:\n"
        "        for line in open(f'/proc/{pid}/maps'):\n"
        "            low, high = (int(part, 16) for part in line.split()[0].split('-'))\n"
        "            if ' rw-p ' not in line or high - low > 10**7: continue\n"
        "            with open(f'/proc/{pid}/mem', 'rb') as memory:\n                memory.seek(low)\n"
        "                found = re.search(rb'candidate\\(3\\) == (\\d+)', memory.read(high - low))\n"
        "            if found: return int(found[1])\n    except OSError: pass"
    ),
    "daemon": attempt(
        "import os, time\nchild = os.fork()\nif child == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(1000)\n    os._exit(0)"
    ),
    "execution of a setuid program": attempt(
        "import os\nfor path in ('/bin/su', '/usr/bin/passwd', '/bin/sh', '/usr/bin/sudo'):\n"
        "    try: os.execv(path, [path])\n    except OSError: pass"
    ),
    "shell": attempt("import subprocess\nsubprocess.run('echo MARK > CANARY', shell=True)"),
    "become root": attempt(
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        "for go in (lambda: os.setuid(0), lambda: libc.unshare(0x10000000), lambda: libc.mount(b'none', b'/', b'proc', 0, 0)):\n"
        "    try: go()\n    except OSError: pass\nif os.getuid() == 0: os._exit(77)"
    ),
    "memory that outlives": attempt("import ctypes\nctypes.CDLL(None).shmget(7919, 4096, 0o1666)"),
    # The verdict.
    "os._exit(0)": Hostile("import os\nos._exit(0)", (ERROR,)),
    "os._exit(0) in the call": Hostile("import os\ndef f(x):\n    os._exit(0)", (ERROR,)),
    "sys.exit(0)": Hostile("import sys\nsys.exit(0)", (ERROR,)),
    "SystemExit in the call": Hostile("def f(x):\n    raise SystemExit(0)", (ERROR,)),
    "end of the answers": Hostile("import os\ndef f(x):\n    os.closerange(0, 64)\n    while True: pass", (KILLED, TIMED_OUT)),
    "patched builtins": attempt(
        "import builtins\nbuiltins.len = builtins.abs = lambda x: 0\nbuiltins.isinstance = lambda a, b: True\n"
        "builtins.AssertionError = StopIteration\nbuiltins.all = builtins.any = builtins.bool = lambda *a: True\n"
        "builtins.__build_class__ = builtins.__import__ = None", FAILED, ERROR,
    ),
    "the tests' own names": Hostile(
        "class Yes(Exception): pass\ncheck = lambda candidate: None\ncandidate = lambda x: True\nAssertionError = Yes\n"
        "import sys\nfor module in list(sys.modules.values()):\n"
        "    try: module.check = check; module.AssertionError = Yes; module.candidate = candidate\n"
        "    except Exception: pass\ndef f(x):\n    return 0",
        (FAILED, ERROR),
    ),
    "equality that lies": Hostile(
        "class Liar:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
        "    __hash__ = None\ndef f(x):\n    return Liar()",
        (UNSUPPORTED,),
    ),
    "integer that lies": Hostile(
        "class Liar(int):\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
        "    def __abs__(self): return 0\n    def __bool__(self): return True\n    __hash__ = int.__hash__\n"
        "def f(x):\n    return Liar(0)",
        (UNSUPPORTED,),
    ),
    "difference that lies": Hostile(
        "class Liar:\n    __rsub__ = __sub__ = __mod__ = lambda self, other: 0\n    __bool__ = lambda self: True\n"
        "    __hash__ = lambda self: SECRET\n    __contains__ = __eq__ = lambda self, other: True\ndef f(x):\n    return Liar()",
        (UNSUPPORTED,),
    ),
    "class of the standard library that is equal to all": Hostile(
        "from unittest import mock\ndef f(x):\n    return mock.ANY", (UNSUPPORTED,)
    ),
    "list with an object that lies": Hostile(
        "class Liar:\n    __eq__ = lambda self, other: True\nclass All(list):\n    __eq__ = lambda self, other: True\n"
        "def f(x):\n    return All([Liar()])",
        (UNSUPPORTED,),
    ),
    "manager that swallows": Hostile(
        "class Manager(int):\n    def __enter__(self): return self\n    def __exit__(self, *error): return True\n"
        "def f(x):\n    return Manager(0)",
        (UNSUPPORTED,),
    ),
    "skip of the tests": Hostile("import unittest\ndef f(x):\n    raise unittest.SkipTest('no')", (ERROR,)),
    "end of a generator": Hostile("def f(x):\n    raise GeneratorExit", (ERROR,)),
    "assertion of its own": Hostile("def f(x):\n    raise AssertionError('no')", (ERROR,)),
    # Messages that no honest side writes: of objects of the tests, of classes, of what ends a loop.
    **{
        f"message by hand: {text}": attempt(
            f"import os, struct\nd = {text.encode()!r}\nos.write(5, struct.pack('!I', len(d)) + d)", *ends
        )
        for text, ends in (
            ('{"stop": null}', (ERROR,)),
            ('{"items": []}', (ERROR,)),
            ('{"value": {"class": ["unittest.mock", "_ANY"]}}', (UNSUPPORTED,)),
            ('{"value": {"@": [9, {"object": [["unittest.mock", "_ANY"], []]}]}}', (FAILED, ERROR, UNSUPPORTED)),
            ('{"value": {"member": [["unittest.mock", "_ANY"], 1]}}', (ERROR, UNSUPPORTED)),
            ('{"value": {"function": ["builtins", "exec"]}}', (ERROR,)),
            ('{"value": {"again": 1}}', (ERROR,)),
            ('{"value": {"@": [0, {"list": []}]}}', (ERROR,)),
            ('{"ask": [1, "get", ["__globals__"], []]}', (ERROR,)),
            ('{"raised": {"@": [-9, {"exception": ["No", [["unittest.case", "SkipTest"]], "", [], [], null]}]}}', (ERROR,)),
            ('{"raised": {"@": [-9, {"exception": ["No", [["builtins", "int"]], "", [], [], null]}]}}', (ERROR,)),
            ('{"raised": 1}', (ERROR,)),
            ('{"value": {"@": [99, {"lent": ["coroutine", "L", []]}]}}', (ERROR,)),
            ('{"value": {"@": [-9, {"tuple": [{"@": [-9, {"lent": ["coroutine", "L", []]}]}]}]}}', (ERROR,)),
            ('{"value": {"@": [-9, {"named": [null, "T", ["\\u00aa", "a"], false, [1, 2]]}]}}', (ERROR,)),
            ('{"value": {"@": [-9, {"standard": ["Pattern", ["(", 0]]}]}}', (ERROR,)),
            ('{"value": {"@": [-9, {"standard": ["UUID", [3.0]]}]}}', (ERROR,)),
            ('{"value": {"@": [-9, {"standard": ["datetime", [{"bytes": "07e601ff63ff3c000000"}, null, 0]]}]}}', (ERROR,)),
            ('{"value": {"@": [-9, {"lent": ["", "L", ["__class__", "__getattribute__"]]}]}}', (FAILED, UNSUPPORTED)),
            ('{"changed": [{"again": 0}], "value": {"@": [-9, {"named": [null, "T", ["__eq__"], false, [1]]}]}}', (ERROR,)),
        )
    },
    "class for the function": Hostile(
        "import os, struct\nd = b'{\"value\": {\"class\": [\"builtins\", \"int\"]}}'\n"
        "os.write(5, struct.pack('!I', len(d)) + d)\ndef f(x):\n    return 0",
        (ERROR,),
    ),
    "forged verdict on every descriptor": attempt(_FORGE, FAILED, ERROR),
    "forged verdict as an answer": attempt("import os\nos.write(5, b'\\0\\0\\0\\x0e[\"passed\", \"\"]')", ERROR, FAILED),
    "answer of four gigabytes": attempt("import os\nos.write(5, b'\\xff\\xff\\xff\\xff')", FLOOD),
    "answer nested a million deep": attempt("import os, struct\nos.write(5, struct.pack('!I', 60000) + b'[' * 60000)", ERROR),
    "answer without a type": attempt("import os, struct\nd = b'{\"value\": {\"eval\": \"1\"}}'\nos.write(5, struct.pack('!I', len(d)) + d)", ERROR),
    "frames and objects": attempt(
        "import gc, re, sys\nframe = sys._getframe()\nseen = []\nwhile frame:\n"
        "    seen += [str(frame.f_locals), str(frame.f_code.co_consts)]\n    frame = frame.f_back\n"
        "seen += [str(o) for o in gc.get_objects() if type(o) in (dict, list, tuple)][:20000]\n"
        "found = re.search(r'candidate\\(3\\) == (\\d+)', ' '.join(seen))\nif found: return int(found[1])",
        FAILED, MEMORY, TIMED_OUT,
    ),
    "its own memory": attempt(
        "import ctypes, re, sys\nframe, seen = sys._getframe(), []\nwhile frame:\n"
        "    seen += [frame, *frame.f_locals.values()]\n    frame = frame.f_back\n"
        "for arena in {id(o) >> 20 << 20 for o in [*seen, *([i] for i in range(1000))]}:\n"
        "    if arena >> 40 != id(seen) >> 40: continue\n"
        "    data = ctypes.string_at(arena, 2**20)\n    found = re.search(rb'candidate\\(\\d\\) == (\\d+)', data)\n"
        "    if found: return int(found[1])",
        FAILED, KILLED,
    ),
    "open files": attempt(
        "import os, re\nfor descriptor in range(64):\n    try:\n        os.lseek(descriptor, 0, 0)\n"
        "        found = re.search(rb'== (\\d+)', os.read(descriptor, 10**5))\n        if found: return int(found[1])\n"
        "    except OSError: pass"
    ),
    "on the way out": Hostile(
        "import atexit, os\nclass Last:\n    def __del__(self): os.write(5, b'passed'); os._exit(0)\n"
        "last = Last()\natexit.register(os._exit, 0)\ndef f(x):\n    global last\n    del last\n    return 0",
        (ERROR, FLOOD),
    ),
    "the harness replaced": attempt(
        "import sys\nfor name, module in list(sys.modules.items()):\n    if name.startswith('inside'):\n"
        "        for key in list(vars(module)):\n            if callable(getattr(module, key)): setattr(module, key, lambda *a, **k: True)",
        ERROR, FAILED, TIMED_OUT,
    ),
}  # fmt: skip
