"""Reads the recorded answers to the micro-tasks."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from probinf.figures._micro_tasks import STRENGTHS, MicroTask, accepts, micro_tasks

_FILE = "data/micro_tasks_smollm2.npz"


class MicroTaskSamples(NamedTuple):
    """Independent answers of SmolLM2-135M-Instruct to each task, with their truth and verdicts.

    `answer` indexes `answers`, the distinct texts of all tasks; two samples of a task gave the same answer iff the
    entries agree. `log_prob` is the mean over tokens in nats at the temperature of the draw, `length` in tokens.
    `accepted[..., j]` is the verdict of the verifier that looks at the first `strengths[j]` checks. `self_log_odds` is
    the model's own verdict in nats, yes against no, NaN where it was not asked.
    """

    tasks: tuple[MicroTask, ...]
    answers: tuple[str, ...]
    answer: Int[np.ndarray, "tasks samples"]
    right: Bool[np.ndarray, "tasks samples"]
    accepted: Bool[np.ndarray, "tasks samples strengths"]
    strengths: tuple[int, ...]
    self_log_odds: Float[np.ndarray, "tasks samples"]
    log_prob: Float[np.ndarray, "tasks samples"]
    length: Int[np.ndarray, "tasks samples"]
    temperature: float


def data_path() -> Path:
    """Where the shipped samples are."""
    return Path(str(resources.files("probinf.figures"))) / _FILE


def micro_task_samples(path: Path | None = None) -> MicroTaskSamples:
    """The samples of a file, by default the shipped ones.

    Truth and verdicts are no part of the file: they follow from the answers by the tasks' own tests.

    Raises: FileNotFoundError where there is no file; ValueError where it is damaged or of other tasks.
    """
    path = data_path() if path is None else path
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: python -m probinf.figures._micro_tasks_run makes it") from None
    except Exception as problem:  # zipfile, zlib and NumPy each have their own
        raise ValueError(f"{path} is not a readable file of samples ({type(problem).__name__}: {problem})") from None
    tasks = micro_tasks()
    absent = {"prompts", "answers", "answer", "log_odds", "log_prob", "length", "temperature"} - stored.keys()
    if absent:
        raise ValueError(f"{path} is no file of samples: it lacks {', '.join(sorted(absent))}")
    if stored["prompts"].tolist() != [task.prompt for task in tasks]:
        raise ValueError(
            f"{path} holds samples of other prompts: run python -m probinf.figures._micro_tasks_run --out {path}"
        )
    answers, answer = tuple(stored["answers"].tolist()), stored["answer"].astype(int)
    right, accepted = np.zeros(answer.shape, bool), np.zeros((*answer.shape, len(STRENGTHS)), bool)
    for i, task in enumerate(tasks):
        distinct, place = np.unique(answer[i], return_inverse=True)
        texts = [answers[j] for j in distinct]
        right[i] = np.array([task.right(text) for text in texts])[place]
        accepted[i] = np.array([[accepts(task, text, m) for m in STRENGTHS] for text in texts])[place]
    return MicroTaskSamples(
        tasks,
        answers,
        answer,
        right,
        accepted,
        STRENGTHS,
        stored["log_odds"].astype(float)[answer],
        stored["log_prob"].astype(float),
        stored["length"].astype(int),
        float(stored["temperature"]),
    )
