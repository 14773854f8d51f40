"""Claims about particle filtering of word problems on a real language model, with criteria fixed before the run.

The reward is a linear probe on SmolLM2's own activations, trained on other problems. Selections: "vote" adds up the
final rewards of the lanes that state an answer, "argmax" takes the largest. Accuracy is a mean over problems and
independent searches; intervals are bootstraps over both, with fixed seeds, and differences are paired by problem.
Before these criteria were written, only training problems and trial problems of earlier wordings had been sampled; they
set the prompt, the temperature and the kind of problem, so that single samples are right in .1 to .6 of cases. After
that, and before the run, the probe's AUC within training problems was seen, cross-validated: .60 after the first step,
.72 after the last. Nothing corrects for the number of claims. Published values are of MATH500, with models and rewards
7 to 50 times larger.
"""

from __future__ import annotations

import numpy as np
import xarray
from jaxtyping import Bool, Float

from probinf.figures._claims import Claim, Finding
from probinf.figures._estimators import RESAMPLES, interval
from probinf.figures._scaling_claims import Accuracies, judged

_PAPER, _OURS = "arXiv:2502.01618", "ours"
_NAME = "particle_scaling_lm"
_SEED = 23


def particle_scaling_lm_claims(dataset: xarray.Dataset) -> list[Finding]:
    """C1 to C7; all verdicts are returned, whatever they are."""
    a = Accuracies(dataset)
    minus = np.subtract
    found = [
        *_probe_claims(dataset),
        judged(a, f"{_NAME}/C2-best-of-n", "C2: 8 particles beat weighted best-of-8",
               "accuracy of PF (odds, vote) minus weighted best-of-n, N=8", ">", 0.0,
               [("PF odds/vote", 8), ("samples/vote", 8)], minus, "+.098 (Llama-1B), 0 (Qwen-1.5B)", _PAPER),
        judged(a, f"{_NAME}/C2-half", "C2: 8 particles beat weighted best-of-16",
               "accuracy of PF (odds, vote) at N=8 minus weighted best-of-n at N=16", ">", 0.0,
               [("PF odds/vote", 8), ("samples/vote", 16)], minus, "+.074 (Llama-1B), -.012 (Qwen-1.5B)", _PAPER),
        judged(a, f"{_NAME}/C3-vote", "C3: 16 particles beat DVTS with as many generations, both by vote",
               "accuracy of PF (odds) minus DVTS, N=16, vote", ">", 0.0,
               [("PF odds/vote", 16), ("DVTS/vote", 16)], minus, "+.046 (Llama-1B), -.008 (Qwen-1.5B)", _PAPER),
        judged(a, f"{_NAME}/C3-argmax", "C3: the same, both by argmax",
               "accuracy of PF (odds) minus DVTS, N=16, argmax", ">", 0.0,
               [("PF odds/argmax", 16), ("DVTS/argmax", 16)], minus, None, _PAPER),
        judged(a, f"{_NAME}/C4-rules", "C4: selecting by odds beats selecting by the reward itself",
               "accuracy of PF by odds minus PF by value ratio, N=16, vote", ">", 0.0,
               [("PF odds/vote", 16), ("PF ratio/vote", 16)], minus, None, _OURS),
        judged(a, f"{_NAME}/C5-weights", "C5: the reward improves on plain majority",
               "accuracy of weighted best-of-n minus majority, N=16", ">", 0.0,
               [("samples/vote", 16), ("samples/majority", 16)], minus, None, _OURS),
        judged(a, f"{_NAME}/C6-selection", "C6: a weighted vote beats argmax on the same clouds",
               "accuracy of PF (odds) by vote minus by argmax, N=16", ">", 0.0,
               [("PF odds/vote", 16), ("PF odds/argmax", 16)], minus, None, _OURS),
        judged(a, f"{_NAME}/C7-lanes", "C7: more of a filter's 16 texts are right than of plain samples",
               "share of right lanes of PF (odds) minus that of samples, N=16", ">", 0.0,
               [("PF odds/lane", 16), ("samples/lane", 16)], minus, None, _OURS),
    ]  # fmt: skip
    return [finding for finding in found if finding is not None]


def _probe_claims(dataset: xarray.Dataset) -> list[Finding]:
    """C1: what the probe knows about texts of problems that it was not trained on."""
    right = dataset["sample_right"].values.astype(bool)
    steps = dataset["sample_log_odds"].transpose("step", "problem", "lane").values
    draws = np.random.default_rng(_SEED).integers(len(right), size=(RESAMPLES, len(right)))
    findings = []
    for name, log_odds in zip(("first", "last"), (steps[0], steps[-1]), strict=True):
        wins, pairs = concordance(right, log_odds)
        claim = Claim(
            f"{_NAME}/C1-{name}", _OURS,
            f"C1: after the {name} step the probe tells right from wrong texts of the same new problem",
            f"AUC within problems, over all pairs, after the {name} step", ">", 0.6,
        )  # fmt: skip
        if pairs.sum() > 0:
            resampled = wins[draws].sum(1) / np.maximum(pairs[draws].sum(1), 1e-9)
            findings.append(claim.judge(float(wins.sum() / pairs.sum()), interval(resampled)))
    gap = (1 / (1 + np.exp(-steps[-1]))).mean(1) - right.mean(1)
    calibrated = Claim(
        f"{_NAME}/C1-calibration", _OURS, "C1: on average the probe's last reward is the share of right texts",
        "mean reward after the last step minus share of right texts", "within", 0.05,
    )  # fmt: skip
    return [*findings, calibrated.judge(float(gap.mean()), interval(gap[draws].mean(1)))]


def concordance(
    right: Bool[np.ndarray, "problems lanes"], log_odds: Float[np.ndarray, "problems lanes"]
) -> tuple[Float[np.ndarray, " problems"], Float[np.ndarray, " problems"]]:
    """For each problem, of how many pairs of a right and a wrong lane the right one scores higher (ties count half),
    and how many such pairs there are.
    """
    pair = right[:, :, None] & ~right[:, None, :]
    difference = log_odds[:, :, None] - log_odds[:, None, :]
    wins = (pair * ((difference > 0) + 0.5 * (difference == 0))).sum((1, 2))
    return wins.astype(float), pair.sum((1, 2)).astype(float)
