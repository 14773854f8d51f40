"""Importing the package costs no device: no backend starts and no array is made."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = (
    "probinf, probinf.samplers, probinf.transformers_dist, probinf.verifiers, probinf.kernels, probinf.distributions, "
    "probinf.representations, probinf.interop, probinf.scale, probinf.servers, probinf.validity, "
    "probinf.validity.planted, probinf.cases"
)


def test_import_starts_no_backend():
    program = (
        f"import {PACKAGES}\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'importing probinf started a backend'\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_each_name_of_a_package_exists():
    program = (
        f"import {PACKAGES}\n"
        f"for package in ({PACKAGES}):\n"
        "    for name in getattr(package, '__all__', None) or [n for n in dir(package) if n[0] != '_']:\n"
        "        getattr(package, name)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_figures_are_loaded_when_they_are_asked_for():
    program = (
        "import sys, probinf.figures as figures\n"
        "assert not {'matplotlib', 'xarray', 'flowjax', 'blackjax'} & set(sys.modules), 'a figure was loaded'\n"
        "assert not any(f'probinf.figures.{name}' in sys.modules for name in figures.FIGURES)\n"
        "assert figures.validity_bias_claims.__module__ == 'probinf.figures.validity_bias'\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_generate_needs_no_extra_but_that_of_language_models():
    # A module that is None in sys.modules cannot be imported, as if it were not installed.
    program = (
        "import sys\n"
        "for name in ('matplotlib', 'xarray', 'flowjax', 'h5netcdf', 'arviz', 'blackjax', 'httpx', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "import probinf.cli, probinf.cli._generate\n"
        "try:\n"
        "    probinf.cli.main(['figures', '--help'])\n"
        "except SystemExit as ended:\n"
        "    assert ended.code == 0\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_notebooks_have_the_widgets_without_which_numpyro_warns():
    # tqdm.auto, which numpyro imports, warns in each kernel that has no ipywidgets.
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(needed.startswith("ipywidgets") for needed in extras["docs"])
    assert re.search(r"^ipywidgets==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
