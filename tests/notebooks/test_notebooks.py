"""Every notebook runs from top to bottom, with warnings as errors, in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the text of each notebook promises to print.
PROMISES = {
    "distribution_transformer": ("prior * likelihood Guarantee.PROPER", "reliable", "after ten updates", "100 steps"),
    "imperfect_verifiers": ("false discovery rates", "best number of attempts inf", "{1: 'PASSED', 3: 'FAILED'}"),
    "pairs": ("taught by pairs: mean variance", "accepted answers [0]"),
    "particle_scaling": ("Guarantee.PROPER", "particle filter", "sweep 2: answer"),
    "tour": ("[proper]", "forgets its evidence: largest error of the measure 2.2e+00", "programs compiled: 0"),
    "validity": ("Guarantee.PROPER", "Guarantee.CONSISTENT"),
}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def test_there_are_notebooks():
    assert [notebook.stem for notebook in NOTEBOOKS] == sorted(PROMISES)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[notebook.stem for notebook in NOTEBOOKS])
def test_notebook_runs(notebook):
    environment = {
        **os.environ,
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    run = subprocess.run(
        [sys.executable, "-W", "error", str(notebook)], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert all(promise in run.stdout for promise in PROMISES[notebook.stem]), run.stdout
    # What the tour promises of other data.
    assert not re.search(r"programs compiled: [1-9]", run.stdout)
