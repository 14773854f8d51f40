"""Modules of the standard library inside the sandbox, and the list of them in docs/sandbox.md."""

import sys

import pytest

from probinf.verifiers.programs import Limits, Sandbox, Trial
from scripts.sandbox_modules import PAGE, ask, listed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox runs on Linux only")

IMPORTING = """
import importlib, json
def f(names):
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = repr(error)
    return failed
"""


def test_every_module_of_the_page_can_be_imported_and_no_other():
    """The names are those of `sys.stdlib_module_names`; a Python that was built without one leaves it out."""
    every, some = listed(PAGE.read_text())
    offered, withheld = ask(sys.executable)
    here = {name for name in sys.stdlib_module_names if not name.startswith("_")} - set(withheld)
    assert set(offered) <= here and (every | some) >= set(offered)
    if sys.version_info < (3, 14):
        assert every <= here
    missing = sorted(here - set(offered))
    tests = (
        f"def check(f):\n    assert f({sorted(offered)!r}) == {{}}\n    assert list(f({missing!r})) == {missing!r}\n"
    )
    with Sandbox(Limits(processor_seconds=20, wall_seconds=60.0)) as sandbox:
        outcome = sandbox.judge(Trial(IMPORTING, "f", tests))
    assert outcome.passed, outcome


def test_modules_that_are_loaded_late_work():
    program = """
import asyncio, concurrent.futures, contextvars, doctest, email.mime.text, gzip, io, multiprocessing, optparse, sqlite3
import xml.dom.minidom, zipfile
async def twice(x):
    await asyncio.sleep(0)
    return 2 * x
async def both(x):
    return sum(await asyncio.gather(twice(x), asyncio.wait_for(twice(x), 9)))
def f(x):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", str(x))
    number = int(zipfile.ZipFile(file).read("a"))
    text = gzip.decompress(gzip.compress(str(x).encode())).decode()
    (row,) = sqlite3.connect(":memory:").execute("select 7 * ?", (x,)).fetchone(),
    mail = email.mime.text.MIMEText("hello")["Content-Type"]
    future = concurrent.futures.Future()
    future.set_result(x)
    return number, text, row, mail, future.result(), asyncio.run(both(x))
"""
    tests = "def check(f):\n    assert f(3) == (3, '3', (21,), 'text/plain; charset=\"us-ascii\"', 3, 12)\n"
    with Sandbox() as sandbox:
        outcome = sandbox.judge(Trial(program, "f", tests))
    assert outcome.passed, outcome
