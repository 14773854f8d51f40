"""Trains the reward of the figure `particle_scaling_lm`: a linear probe on SmolLM2's own last activation.

    python -m probinf.figures._train_word_probe [FILE]

Solutions are sampled for problems that the figure never uses. After each of its steps a solution's activation is one
row, and whether the solution turned out right is its label: a Monte Carlo outcome per prefix, as of a process reward
model trained on rollouts (arXiv 2312.08935). The ridge is chosen by cross-validation over problems.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from probinf import Draw, Particles, spawn
from probinf.figures._word_problem_writer import TEMPERATURE, lane_answers, writer_of
from probinf.figures._word_problems import STEPS, WordProblem, word_problems
from probinf.lm import TextModel
from probinf.lm._linear_probe import LinearProbe, fit_probe, save_probe

TRAINING_PROBLEMS, LANES, FOLDS = 80, 32, 4
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
WEIGHTS = "weights/smollm2_word_probe.safetensors"
_SEED = 20250205


class Rows(NamedTuple):
    """Activations after each step of sampled solutions, and which solutions are right."""

    hidden: Float[np.ndarray, "problems steps lanes dimension"]
    right: Float[np.ndarray, "problems lanes"]


def probe_path() -> Path:
    """Where the shipped probe is."""
    return Path(str(resources.files("probinf.figures"))) / WEIGHTS


def sample_rows(
    model: TextModel, problems: list[WordProblem], lanes: int, *, progress: Callable[[str], None] = lambda line: None
) -> Rows:
    """Sample `lanes` solutions of each problem from the model."""
    hidden, right = [], []
    for i, problem in enumerate(problems):
        begun = time.perf_counter()
        writer = writer_of(model, problem, None)
        key = jax.random.fold_in(jax.random.key(_SEED), i)
        cloud: Particles = spawn(lanes)
        after = []
        for stage, k in zip((writer.start(), *[writer.step()] * STEPS), jax.random.split(key, 1 + STEPS), strict=True):
            cloud, _ = Draw(stage).consume(k, cloud)
            after.append(np.array(cloud.values.generation.state.hidden))
        hidden.append(after[1:])
        right.append([answer == problem.answer for answer in lane_answers(model, cloud.values)])
        progress(
            f"problem {i + 1}/{len(problems)}: {np.mean(right[-1]):.2f} right, {time.perf_counter() - begun:.1f} s"
        )
    return Rows(np.array(hidden, np.float32), np.array(right, float))


def train(rows: Rows, ridge: float) -> LinearProbe:
    """Fit one probe for all steps."""
    steps = rows.hidden.shape[1]
    labels = np.repeat(rows.right[:, None, :], steps, axis=1)
    return fit_probe(rows.hidden.reshape(-1, rows.hidden.shape[-1]), labels.reshape(-1), ridge)


def held_out_losses(rows: Rows, folds: int = FOLDS) -> dict[float, float]:
    """Mean logistic loss of each ridge on problems that were left out of the fit."""
    fold = np.arange(len(rows.right)) % folds
    losses = {}
    for ridge in RIDGES:
        parts = []
        for k in range(folds):
            kept, left = (Rows(rows.hidden[at], rows.right[at]) for at in (fold != k, fold == k))
            probe = train(kept, ridge)
            log_odds = left.hidden @ np.asarray(probe.weight) + float(probe.bias)
            parts.append(np.mean(np.logaddexp(0, log_odds) - left.right[:, None, :] * log_odds))
        losses[ridge] = float(np.mean(parts))
    return losses


def main(arguments: list[str]) -> None:
    """Sample, fit and write the probe."""
    from probinf.figures.lm_constraints import default_model

    out = Path(arguments[0]) if arguments else probe_path()
    problems, _ = word_problems(TRAINING_PROBLEMS, 0)
    rows = sample_rows(default_model(), problems, LANES, progress=lambda line: print(line, flush=True))
    losses = held_out_losses(rows)
    ridge = min(losses, key=losses.__getitem__)
    for value, loss in losses.items():
        print(f"ridge {value:g}: held-out loss {loss:.4f} nats{' (chosen)' if value == ridge else ''}", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    notes = {
        "command": "python -m probinf.figures._train_word_probe",
        "data": f"{TRAINING_PROBLEMS} problems x {LANES} solutions x {STEPS} steps, temperature {TEMPERATURE}",
        "ridge": f"{ridge:g}",
        "held_out_loss": f"{losses[ridge]:.4f} nats",
        "right": f"{rows.right.mean():.4f}",
    }
    save_probe(out, train(rows, ridge), notes)
    print(f"{out}: {notes}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
