"""Importing the package costs no device: no backend starts and no array is made."""

import subprocess
import sys

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
