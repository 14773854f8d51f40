"""Does a probe on SmolLM2's activation, taught by pairs of answers, know which letters are not in a word?

Annotators name a letter of a word, each place of it being as likely; the model sees the word as one token. So p(y | x)
is known exactly, and an answer is impossible iff the word lacks its letter. The activations ship with the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._pairs_lm_claims import pairs_lm_claims as pairs_lm_claims
from probinf.figures._pairs_lm_plot import plot_pairs_lm as plot_pairs_lm
from probinf.figures._pairs_lm_questions import Questions, read_questions
from probinf.figures._pairs_lm_runs import BETAS, FOLDS, TRAINING, run_fold

Progress = Callable[[int, int, str], None]
WORLDS = {"lower case": 0.0, "capitals": 0.2}
_ANSWERS, _SCORES = ("probe", "model"), ("doubt", "surprise", "choice")


@dataclass(frozen=True)
class LmPairsPlan:
    """How many times each fold is trained, with other random numbers."""

    repeats: int


LM_PAIRS_PLANS = {"smoke": LmPairsPlan(1), "paper": LmPairsPlan(4)}


def pairs_lm_data(
    key: PRNGKeyArray,
    budget: str | LmPairsPlan = "smoke",
    *,
    questions: Questions | None = None,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train probes on four fifths of the words and measure them on the last fifth, each in turn.

    Over `world` (letters in lower case; one in five written as a capital), `fold` (mean over repeats) and
    `answers` (drawn from the probe; from the language model among the letters): `wrong` (share of impossible ones),
    `bound` (1 - E[C]), `auroc` by `score` (doubt 1 - C, surprise -log p of the probe, choice -log q of the language
    model), and `answered` and `filtered_wrong` by `beta`. The language model is asked for lower-case letters only, so
    that a capital of the probe's counts as the most surprising choice.

    questions: the shipped ones by default.

    Raises: ValueError for an unknown budget.
    """
    if not isinstance(budget, LmPairsPlan) and budget not in LM_PAIRS_PLANS:
        raise ValueError(f"budget must be one of {', '.join(LM_PAIRS_PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, LmPairsPlan) else LM_PAIRS_PLANS[budget]
    questions = read_questions() if questions is None else questions
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    parts = [(world, fold, repeat) for world in WORLDS for fold in range(FOLDS) for repeat in range(plan.repeats)]
    found: dict[tuple[str, int, int], dict[str, Any]] = {}
    for done, (world, fold, repeat) in enumerate(parts):
        told(done, len(parts), f"{world}, fold {fold}")
        settings = {"training": asdict(TRAINING), "words": list(questions.words), "capitals": WORLDS[world],
                    "key": jax.random.key_data(key).tolist()}  # fmt: skip
        own = jax.random.fold_in(jax.random.fold_in(key, fold), repeat)
        found[world, fold, repeat] = cells.get(
            f"{world.replace(' ', '-')}-{fold}-{repeat}",
            settings,
            lambda k=own, f=fold, w=world: run_fold(k, questions, f, WORLDS[w]),
        )
    told(len(parts), len(parts), "done")

    def table(*names: str) -> np.ndarray:
        """Mean over repeats; worlds, folds, then the names' own axes."""
        values = [
            [np.mean([[found[w, f, r][name] for name in names] for r in range(plan.repeats)], 0) for f in range(FOLDS)]
            for w in WORLDS
        ]
        return np.array(values)

    each = ("world", "fold", "answers")
    scores = [[f"{answers}_auroc_{score}" for score in _SCORES] for answers in _ANSWERS]
    return xarray.Dataset(
        {
            **{name: (each, table(*(f"{a}_{name}" for a in _ANSWERS))) for name in ("wrong", "bound")},
            **{
                name: ((*each, "beta"), table(*(f"{a}_{name}" for a in _ANSWERS)))
                for name in ("answered", "filtered_wrong")
            },
            "auroc": ((*each, "score"), np.stack([table(*names) for names in scores], axis=2)),
        },
        coords={"world": list(WORLDS), "answers": list(_ANSWERS), "score": list(_SCORES), "beta": list(BETAS)},
        attrs={"budget": budget if isinstance(budget, str) else "custom", "words": len(questions.words)},
    )
