"""Tables of outcomes of real programs and answers, read from a folder that the user names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from probinf.verifiers.imperfect import SampleCounts

SAMPLES = "codet_codegen16b_humaneval_samples.csv"
TASKS = "codet_codegen16b_humaneval_tasks.csv"
PYTHIA = "monkeys_original_math_counts.csv"
# Asserts of HumanEval that a verifier looks at, the first so many; a task may have fewer.
STRENGTHS = {"1": 1, "2": 2, "3": 3, "5": 5, "all": 10**9}


def outcome_counts(
    accepted: Bool[np.ndarray, "tasks samples"], right: Bool[np.ndarray, "tasks samples"]
) -> SampleCounts:
    """How many samples of each task were accepted and right, accepted and wrong, and rejected."""
    kinds = (accepted & right, accepted & ~right, ~accepted)
    return SampleCounts(*(kind.sum(1).astype(float) for kind in kinds))


def program_outcomes(
    folder: Path,
) -> tuple[Bool[np.ndarray, "strengths tasks samples"], Bool[np.ndarray, "tasks samples"]]:
    """Which of 100 programs a task verifiers of each strength accept, and which are right.

    The programs are CodeGen-16B's for HumanEval (published by CodeT); right is what passes all its asserts and further
    inputs of EvalPlus. Tasks are those whose own solution passes, and that have more inputs than asserts.

    Raises: FileNotFoundError where a table is missing.
    """
    kept = [
        int(row["task"])
        for row in _rows(folder / TASKS)
        if row["canonical_passes_plus"] == "1" and int(row["n_plus_inputs_valid"]) > int(row["n_base_asserts"])
    ]
    place = {task: i for i, task in enumerate(kept)}
    accepted = np.zeros((len(STRENGTHS), len(kept), 100), bool)
    right = np.zeros((len(kept), 100), bool)
    for row in _rows(folder / SAMPLES):
        i, sample = place.get(int(row["task"])), int(row["sample"])
        if i is None:
            continue
        passed, there = int(row["base_lead_asserts"]), int(row["n_base_asserts"])
        accepted[:, i, sample] = [passed >= min(needed, there) for needed in STRENGTHS.values()]
        # Asserts pass in order, so all of them pass where the last does.
        right[i, sample] = row["base_pass"] == "1" and row["plus_pass"] == "1"
    return accepted, right


def pythia_counts(folder: Path) -> dict[str, Float[np.ndarray, " tasks"]]:
    """Right answers of 10,000 to each of 128 problems of MATH, by model, from the smallest.

    Raises: FileNotFoundError where the table is missing.
    """
    found: dict[str, list[float]] = {}
    for row in _rows(folder / PYTHIA):
        if row["benchmark"] == "MATH" and row["n_samples"] == "10000":
            found.setdefault(row["model"], []).append(float(row["n_correct"]))
    return {model: np.array(counts) for model, counts in sorted(found.items(), key=lambda item: np.mean(item[1]))}


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
