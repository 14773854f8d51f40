"""Load a language model with its tokenizer from a file, a folder, or a known name."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp

from probinf.lm._download import model_path
from probinf.lm._errors import ModelFileError
from probinf.lm._gguf import read_gguf
from probinf.lm._llama import Llama
from probinf.lm._llama_gguf import llama_from_gguf
from probinf.lm._safetensors import llama_from_folder
from probinf.lm._tokenizer import Tokenizer
from probinf.lm._tokenizer_files import stop_tokens_of_folder, tokenizer_from_folder, tokenizer_from_gguf


@dataclass(frozen=True)
class LoadedModel:
    """A language model, the tokenizer that its identifiers belong to, and a name for reports."""

    lm: Llama
    tokenizer: Tokenizer
    name: str


def load_model(path_or_name: str | Path) -> LoadedModel:
    """Load a GGUF file, a folder with `config.json`, `model.safetensors` and `tokenizer.json`, or a known
    name.

    A name (`"smollm2"`) is looked up in the cache and never downloaded here: call `get_model` for that. The model
    is of architecture `llama`, with or without biases, and with rotary scaling `linear` or `llama3`. Nothing in
    its files is ignored: an option, metadata or tensor that is not used and may change the result is refused.
    Rows of the embedding that no token stands behind are never drawn.

    Args:
        path_or_name: A file, a folder, or a known name.

    Returns:
        The model in float32, its tokenizer, and its name. `lm.stop_tokens` are those of
        `generation_config.json` if that names any, else those of the other files.

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
    lm = llama_from_folder(path)
    tokenizer = tokenizer_from_folder(path, lm.vocabulary_size)
    lm = dataclasses.replace(lm, stop_tokens=stop_tokens_of_folder(path, tokenizer))
    return LoadedModel(_drawing(lm, tokenizer), tokenizer, path.name)


def _load_gguf(path: Path) -> LoadedModel:
    file = read_gguf(path)
    lm = llama_from_gguf(file)
    tokenizer = tokenizer_from_gguf(path, file.metadata, lm.vocabulary_size)
    return LoadedModel(_drawing(lm, tokenizer), tokenizer, str(file.metadata.get("general.name", path.stem)))


def _drawing(lm: Llama, tokenizer: Tokenizer) -> Llama:
    """The model, which draws no identifier that has no token: embeddings are often padded to a round number."""
    known = tokenizer.has_token(lm.vocabulary_size)
    return lm if known.all() else dataclasses.replace(lm, drawable=jnp.asarray(known))
