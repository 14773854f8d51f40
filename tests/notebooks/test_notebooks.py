"""Every notebook runs from top to bottom, with warnings as errors, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def test_there_are_notebooks():
    assert [notebook.stem for notebook in NOTEBOOKS] == ["validity"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[notebook.stem for notebook in NOTEBOOKS])
def test_notebook_runs(notebook):
    environment = {**os.environ, "MPLBACKEND": "Agg", "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax")}
    run = subprocess.run(
        [sys.executable, "-W", "error", str(notebook)], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    # What the text promises.
    assert "Guarantee.PROPER" in run.stdout and "Guarantee.CONSISTENT" in run.stdout
