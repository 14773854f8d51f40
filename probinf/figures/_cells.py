"""Results of parts of a long experiment, kept on disk so that an interrupted run goes on where it was."""

import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

import probinf
from probinf._maps import release_programs
from probinf.figures._atomic import write_text


class Cells:
    """A folder of results, each under a hash of all that it depends on; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, name: str, settings: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """The stored result for these settings, or else `compute()`, stored.

        Settings and results must be JSON; a file that is damaged, or of other settings, is computed again.

        Raises: OSError where the folder cannot be written.
        """
        if self.folder is None:
            return _computed(compute)
        path = self.folder / f"{_plain(name)}-{_digest(settings)}.json"
        stored = _read(path)
        if stored is not None and stored["settings"] == json.loads(json.dumps(settings)):
            return stored["result"]
        result = _computed(compute)
        write_text(path, json.dumps({"settings": settings, "result": result}) + "\n")
        return result

    def count(self) -> int:
        """How many results the folder holds."""
        return 0 if self.folder is None else len(list(self.folder.glob("*.json")))


@functools.cache
def code_fingerprint() -> str:
    """A hash of this package's source and of the version of JAX, for results that are facts about the code."""
    digest = hashlib.sha256(jax.__version__.encode())
    # Folders of the package may be links.
    for folder, folders, files in os.walk(next(iter(probinf.__path__)), followlinks=True):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                digest.update(Path(folder, name).read_bytes())
    return digest.hexdigest()[:16]


def _computed(compute: Callable[[], Any]) -> Any:
    # Parts of different shapes compile programs that none of the others needs.
    release_programs()
    return compute()


def fingerprint(module: eqx.Module) -> str:
    """A hash of a module's structure and of the beginning of each of its arrays: the name of a model's weights."""
    leaves, structure = jax.tree.flatten(eqx.filter(module, eqx.is_array))
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        digest.update(np.asarray(leaf).reshape(-1)[:1024].tobytes())
    return digest.hexdigest()[:16]


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name)


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return stored if isinstance(stored, dict) and {"settings", "result"} <= stored.keys() else None
