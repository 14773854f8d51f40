"""Reads SmolLM2's activations after questions about the letters of words.

    python -m probinf.figures._pairs_lm_extract [--out FILE]

This command made the file that ships with the package.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from probinf.figures._atomic import atomic_path
from probinf.figures._pairs_lm_questions import LETTERS, PREFIX, pack, questions_path, single_token_words
from probinf.lm import Prompt, TextModel, start_generation
from probinf.lm._llama import Llama
from probinf.lm._llama_state import LlamaState

WORDS, LANES = 640, 64


def read_words(
    model: TextModel, tokens: list[int], lanes: int = LANES
) -> tuple[Float[np.ndarray, "words dimension"], Float[np.ndarray, "words letters"]]:
    """Last activations, and log-probabilities of the letters among themselves, after " WORD:".

    The part that all questions share is read once. Raises: TypeError where the model keeps no activation.
    """
    if not isinstance(model.lm, Llama):
        raise TypeError(f"{type(model.lm).__name__} keeps no activation: use a Llama")
    start = start_generation(Prompt(model.lm, model.tokenizer.encode(PREFIX), 2), lanes).state
    colon = int(model.tokenizer.encode(":", add_special_tokens=False)[0])
    letters = jnp.asarray(
        [int(model.tokenizer.encode(f" {letter}", add_special_tokens=False)[0]) for letter in LETTERS]
    )

    # The network is an argument: as a constant it would be written into the compiled program.
    @eqx.filter_jit
    def read(lm: Llama, start: LlamaState, row: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = lm.advance(lm.advance(start, row), jnp.full(lanes, colon))
        return state.hidden, jax.nn.log_softmax(lm.logits(state)[:, letters], axis=1)

    hidden, choice = [], []
    for begin in range(0, len(tokens), lanes):
        row = np.resize(np.array(tokens[begin : begin + lanes]), lanes)
        kept = len(tokens[begin : begin + lanes])
        found = read(model.lm, start, jnp.asarray(row))
        hidden.append(np.asarray(found[0])[:kept])
        choice.append(np.asarray(found[1])[:kept])
    return np.concatenate(hidden), np.concatenate(choice)


def main() -> None:
    """Read, and write the file."""
    from probinf.figures.lm_constraints import default_model

    parser = argparse.ArgumentParser(description="Reads SmolLM2's activations after questions about letters.")
    parser.add_argument(
        "--out", type=Path, default=questions_path(), help="the file to write (default: the shipped one)"
    )
    parser.add_argument("--words", type=int, default=WORDS)
    parser.add_argument("--skip", type=int, default=0, help="leave out the most frequent words")
    arguments = parser.parse_args()
    model = default_model()
    found = single_token_words(model.tokenizer.token_bytes, arguments.words, arguments.skip)
    tokens, words = [i for i, _ in found], [word for _, word in found]
    with atomic_path(arguments.out) as path, path.open("wb") as file:
        np.savez_compressed(file, **pack(words, *read_words(model, tokens)))
    print(f"{arguments.out}: {len(words)} words, {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
