"""A development install is found from every folder, the one above the checkout included, and brings only probinf."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def above(tmp_path_factory) -> Path:
    """A folder that holds a checkout named probinf, and `site`, into which it is installed for development."""
    folder = tmp_path_factory.mktemp("above")
    shutil.copytree(ROOT, folder / "probinf", symlinks=True, ignore=NOT_SOURCE)
    build = "import sys, setuptools.build_meta as backend; backend.build_editable(sys.argv[1])"
    command = [sys.executable, "-c", build, folder]
    subprocess.run(command, cwd=folder / "probinf", check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder


def found(above: Path, working_folder: Path, names: list[str]) -> list[str]:
    """Where `python -c` finds modules, without other installed packages; "" for none."""
    program = (
        "import importlib.util, site, sys\n"
        "site.addsitedir(sys.argv[1])\n"
        "for name in sys.argv[2:]:\n"
        "    spec = importlib.util.find_spec(name)\n"
        "    print(spec.origin if spec is not None and spec.loader is not None else '')\n"
    )
    # -E and -S: no path of the environment, no packages of this interpreter; another probinf may be among them.
    command = [sys.executable, "-E", "-S", "-c", program, str(above / "site"), *names]
    run = subprocess.run(command, cwd=working_folder, capture_output=True, text=True, check=True)
    return run.stdout.split("\n")[: len(names)]


@pytest.mark.parametrize("place", [".", "site", "probinf", "probinf/docs"])
def test_the_package_is_found_from_every_folder(above, place):
    (origin,) = found(above, above / place, ["probinf"])
    assert origin and Path(origin).resolve() == above / "probinf" / "probinf" / "__init__.py"


def test_nothing_else_of_the_checkout_is_importable(above):
    assert found(above, above / "site", ["samplers", "transformers_dist", "verifiers", "tests"]) == [""] * 4
