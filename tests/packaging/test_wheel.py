"""What a built wheel contains: probinf and nothing else at the top, with the linked folders inside."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = {".bib", ".json", ".npz", ".py", ".safetensors", ".typed"}
# A source tree as a fresh checkout has it: old build outputs would end up in the wheel.
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")


def source_files() -> set[str]:
    """The files of the package, links followed, as the wheel should name them."""
    found = set()
    for folder, _, names in os.walk(ROOT / "probinf", followlinks=True):
        paths = (Path(folder, name).relative_to(ROOT) for name in names)
        found |= {path.as_posix() for path in paths if path.suffix in PACKAGED}
    return found


def build_sdist(source: Path, out: Path) -> Path:
    """Builds the source distribution with the back end that is installed, without a network."""
    build = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, out], cwd=source, check=True, capture_output=True)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module", params=["tree", "sdist"])
def wheel(request, tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from a copy of the source tree and from the source distribution of that copy."""
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=NOT_SOURCE)
    if request.param == "sdist":
        source = build_sdist(source, out)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-q", "-w", out, source]
    subprocess.run(pip, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_only_probinf_stands_at_the_top(wheel):
    assert {name.split("/")[0] for name in wheel.namelist()} == {"probinf", "probinf-0.1.0.dist-info"}


def test_the_wheel_holds_each_source_file_once(wheel):
    packaged = [name for name in wheel.namelist() if name.startswith("probinf/")]
    assert sorted(packaged) == sorted(source_files())
    for folder in ("samplers", "transformers_dist", "verifiers"):
        assert f"probinf/{folder}/__init__.py" in packaged


def test_the_command_and_the_license_are_declared(wheel):
    info = "probinf-0.1.0.dist-info"
    assert "probinf = probinf.cli:command" in wheel.read(f"{info}/entry_points.txt").decode()
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
