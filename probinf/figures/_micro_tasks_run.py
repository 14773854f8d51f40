"""Samples SmolLM2's answers to the micro-tasks, and asks it whether they are right.

    python -m probinf.figures._micro_tasks_run [--out FILE] [--cells FOLDER]

Finished tasks are kept in the folder of cells, so that an interrupted run goes on where it was. This command made the
file that ships with the package; `micro_task_samples` reads it.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinf.figures._atomic import atomic_path
from probinf.figures._cells import Cells, fingerprint
from probinf.figures._micro_tasks import MicroTask, clean_answer, micro_tasks
from probinf.figures._micro_tasks_data import data_path
from probinf.lm import Continue, LanguageModel, Prompt, TextModel, decode_block, start_generation

SAMPLES, TEMPERATURE = 128, 0.8
# The model is asked about so many distinct answers of every third task.
ASKED, ASKED_EVERY = 12, 3
_SEED = 20241117


def sample_task(model: TextModel, task: MicroTask, samples: int) -> dict[str, list[Any]]:
    """Independent answers to one task, in `samples` lanes.

    Returns: `answers`, `log_prob` (mean over the tokens drawn, in nats, under the law they were drawn from), `length`
    (tokens drawn, the end of the line among them).
    """
    # Other random numbers for each task, so that tasks are independent.
    key = jax.random.fold_in(jax.random.key(_SEED), zlib.crc32(task.prompt.encode()))
    prompt = Prompt(model.lm, model.tokenizer.encode(task.prompt), task.max_tokens)
    line = Continue(model.lm, task.max_tokens, model.tokenizer.stop("\n"), TEMPERATURE)
    drawn = decode_block(key, line, start_generation(prompt, samples))
    length = np.asarray(drawn.length)
    rows = zip(np.asarray(drawn.tokens), length, strict=True)
    return {
        "answers": [clean_answer(model.tokenizer.decode(row[:end].tolist())) for row, end in rows],
        "log_prob": (np.asarray(drawn.log_prob, float) / length).round(4).tolist(),
        "length": length.tolist(),
    }


def ask_about(model: TextModel, task: MicroTask, answers: list[str]) -> list[float]:
    """The model's own log-odds, in nats, that each answer is right: of "yes" against "no" as its next word.

    The question is read once; each answer has a lane of its own.
    """
    before, after = model.tokenizer.chat(
        f"Question: {task.question}\nProposed answer: \0\nIs the proposed answer correct? Reply with yes or no."
    ).split("\0")
    rows = [model.tokenizer.encode(f"{answer}{after}", add_special_tokens=False) for answer in answers]
    # Tasks with as many columns share a compiled program.
    columns = -(-max(map(len, rows)) // 8) * 8
    tokens = np.stack([np.pad(row, (0, columns - len(row))) for row in rows])
    active = np.arange(columns)[None, :] < np.array([[len(row)] for row in rows])
    generation = start_generation(Prompt(model.lm, model.tokenizer.encode(before.rstrip(" ")), columns), len(rows))
    logits = _read(model.lm, generation.state, jnp.asarray(tokens), jnp.asarray(active))
    of = lambda *words: jnp.asarray([int(model.tokenizer.encode(word, add_special_tokens=False)[0]) for word in words])  # noqa: E731
    total = lambda words: jax.nn.logsumexp(logits[:, words], axis=1)  # noqa: E731
    return np.asarray(total(of("yes", "Yes")) - total(of("no", "No")), float).round(4).tolist()


@eqx.filter_jit
def _read(
    lm: LanguageModel, state: Any, tokens: Int[Array, "n columns"], active: Bool[Array, "n columns"]
) -> Float[Array, "n vocabulary"]:
    """Logits after each lane has read its own row."""

    def step(state: Any, column: tuple[Array, Array]) -> tuple[Any, None]:
        return lm.advance(state, *column), None

    state, _ = jax.lax.scan(step, state, (tokens.T, active.T))
    return lm.logits(state)


def asked_answers(answers: list[str], most: int) -> list[str]:
    """The distinct answers that the model is asked about: the most frequent ones, of equals those that came first."""
    return [answer for answer, _ in Counter(answers).most_common(most)]


def run(
    model: TextModel, tasks: tuple[MicroTask, ...], cells: Cells, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Samples and self-verification of all tasks, each with a cell for either."""
    common = {"temperature": TEMPERATURE, "seed": _SEED, "weights": fingerprint(model.lm)}
    drawn = []
    for i, task in enumerate(tasks):
        begun = time.perf_counter()
        settings = common | {"prompt": task.prompt, "samples": SAMPLES, "tokens": task.max_tokens}
        drawn.append(cells.get(f"drawn{i}", settings, lambda t=task: sample_task(model, t, SAMPLES)))
        right = np.mean([task.right(answer) for answer in drawn[-1]["answers"]])
        progress(f"{i + 1}/{len(tasks)} {task.question[-45:]}: {right:.2f} right, {time.perf_counter() - begun:.1f} s")
    found = []
    for i, (task, result) in enumerate(zip(tasks, drawn, strict=True)):
        begun = time.perf_counter()
        asked = asked_answers(result["answers"], ASKED) if i % ASKED_EVERY == 0 else []
        settings = common | {"question": task.question, "asked": asked}
        odds = cells.get(f"asked{i}", settings, lambda t=task, a=asked: _ask_padded(model, t, a)) if asked else []
        progress(f"{i + 1}/{len(tasks)} asked about {len(asked)} answers, {time.perf_counter() - begun:.1f} s")
        found.append(result | {"asked": asked, "log_odds": odds})
    return found


def _ask_padded(model: TextModel, task: MicroTask, answers: list[str]) -> list[float]:
    """As many lanes for each task, so that they share a program."""
    return ask_about(model, task, answers + answers[:1] * (ASKED - len(answers)))[: len(answers)]


def pack(tasks: tuple[MicroTask, ...], found: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of the data file: distinct answers of all tasks in one list, and samples that point into it."""
    answers, odds, index = [], [], []
    for result in found:
        asked = dict(zip(result["asked"], result["log_odds"], strict=True))
        distinct = list(Counter(result["answers"]))
        place = {answer: len(answers) + j for j, answer in enumerate(distinct)}
        answers += distinct
        odds += [asked.get(answer, np.nan) for answer in distinct]
        index.append([place[answer] for answer in result["answers"]])
    return {
        "prompts": np.array([task.prompt for task in tasks]),
        "answers": np.array(answers),
        "answer": np.array(index, np.uint16),
        "log_odds": np.array(odds, np.float32),
        "log_prob": np.array([result["log_prob"] for result in found], np.float32),
        "length": np.array([result["length"] for result in found], np.uint8),
        "temperature": np.array(TEMPERATURE),
    }


def main() -> None:
    """Run, and write the data file."""
    from probinf.figures.lm_constraints import default_model

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=data_path(), help="the file to write (default: the shipped one)")
    parser.add_argument("--cells", type=Path, default=Path("micro_task_cells"), help="where finished tasks are kept")
    arguments = parser.parse_args()
    tasks = micro_tasks()
    found = run(default_model(), tasks, Cells(arguments.cells), lambda line: print(line, flush=True))
    with atomic_path(arguments.out) as path, path.open("wb") as file:
        np.savez_compressed(file, **pack(tasks, found))  # pyright: ignore[reportArgumentType]
    print(f"{arguments.out}: {len(tasks)} tasks, {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
