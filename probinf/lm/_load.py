"""Load a language model with its tokenizer from a file, a folder, or a known name."""

from dataclasses import dataclass
from pathlib import Path

from probinf.lm._download import model_path
from probinf.lm._errors import ModelFileError
from probinf.lm._gguf import read_gguf
from probinf.lm._llama import Llama
from probinf.lm._llama_gguf import llama_from_gguf
from probinf.lm._safetensors import llama_from_folder
from probinf.lm._tokenizer import Tokenizer, tokenizer_from_gguf


@dataclass(frozen=True)
class LoadedModel:
    """A language model, the tokenizer that its identifiers belong to, and a name for reports."""

    lm: Llama
    tokenizer: Tokenizer
    name: str


def load_model(path_or_name: str | Path) -> LoadedModel:
    """Load a GGUF file, a folder with `config.json`, `model.safetensors` and `tokenizer.json`, or a known
    name.

    A name (`"smollm2"`) is looked up in the cache and never downloaded here: call `get_model` for that.

    Raises:
        ModelFileError: there is no such model, or its files cannot be used; the message says why.
        ImportError: the extra `lm` is not installed.
    """
    path = model_path(path_or_name)
    if not path.exists():
        raise ModelFileError(f"{path} does not exist.")
    try:
        return _load_folder(path) if path.is_dir() else _load_gguf(path)
    except (ModelFileError, ImportError, OSError, MemoryError):
        raise
    except Exception as problem:
        # A damaged header can lead a reader anywhere: whatever it trips over, the file is to blame.
        raise ModelFileError(
            f"{path} is damaged or not a model that can be read ({type(problem).__name__}: {problem})."
        ) from problem


def _load_folder(path: Path) -> LoadedModel:
    lm, tokenizer = llama_from_folder(path)
    return LoadedModel(lm, tokenizer, path.name)


def _load_gguf(path: Path) -> LoadedModel:
    file = read_gguf(path)
    lm = llama_from_gguf(file)
    tokenizer = tokenizer_from_gguf(file.metadata)
    return LoadedModel(lm, tokenizer, str(file.metadata.get("general.name", path.stem)))
