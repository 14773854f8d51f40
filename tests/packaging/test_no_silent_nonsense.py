"""Nonsense raises a sentence, or what comes out is in its range; `nonsense_excused.py` lists what is not tried yet.

The table runs in a process of its own, because the tests' run-time checks of types would refuse before the library.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def report():
    """What the table found."""
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "tests.packaging.nonsense_report"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_nonsense_is_refused_or_harmless(report):
    assert report["calls"] > 2000
    assert report["faults"] == []


def test_every_public_function_is_in_the_table_or_excused(report):
    assert report["missing"] == [] and report["excused in vain"] == []
