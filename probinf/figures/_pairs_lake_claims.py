"""What the figure on the frozen lake is to decide; written before it was run.

Seen before: one seed of an earlier prototype of the same lake (unsafe: .058 of paths by imitation, .008 by rejection
and .000 by search at beta = .05, where .93 were answered; rewards 8.3, 17.0 and 18.9 of an answer; three quarters of
the variance where nothing is said of the hazard), and runs of 150 and 300 steps of this code under other keys, to see
that it works (an ensemble's answers by rejection at .05 were unsafe in .06 and .10 of cases). The bounds were set from
the prototype.

A share may come out as exactly zero for every seed, which leaves a mean over seeds without an interval. So the first
claims are on a difference that varies, and those on hallucinations on the worst of the trained models, each of which is
summed over exactly.
"""

from __future__ import annotations

from typing import Any

import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._transformer_metrics import mean_interval

_PAPER = "arXiv:2402.08733"
_SEEDS = "mean and t interval over seeds"
_BETAS = (0.05, 0.1, 0.2)


def pairs_lake_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts."""
    at = lambda model, decoder: dataset.sel(model=model, decoder=decoder, beta=0.05)  # noqa: E731
    pairs, ensemble = dataset.sel(model="pairs"), dataset.sel(model="ensemble")
    imitation, rejection, search = (at("pairs", name) for name in ("sample", "rejection", "search"))
    rival = at("ensemble", "rejection")
    third = "a third of the unsafe share of imitation less that of answers"
    rows: list[tuple[str, str, str, Relation, float, Any]] = [
        ("rejection/unsafe", "At beta = .05 rejection is unsafe less than a third as often as imitation", third, ">",
         0.0, imitation["unsafe"] / 3 - rejection["unsafe"]),
        ("search/unsafe", "and so is search", third, ">", 0.0, imitation["unsafe"] / 3 - search["unsafe"]),
        ("rejection/reward", "Rejection earns more, where silence earns nothing", "reward less that of imitation", ">",
         0.0, rejection["reward"] - imitation["reward"]),
        ("search/reward", "and so does search", "reward less that of imitation", ">", 0.0,
         search["reward"] - imitation["reward"]),
        ("rejection/answered", "Rejection answers four times in five or more", "share answered", ">", 0.8,
         rejection["answered"]),
        ("ensemble/unsafe", "Rejection by an ensemble does not get there", third, "<", 0.0,
         at("ensemble", "sample")["unsafe"] / 3 - rival["unsafe"]),
        ("ensemble/hallucinated", "Where nothing is said it breaks the bound", "unsafe share of answers", ">", 0.05,
         rival["unsafe_hidden"]),
        ("pairs/doubt", "The straight path over the lake is doubted (exact: .195)", "1 - confidence", ">", 0.1,
         pairs["straight_doubt"]),
        ("pairs/variance", "At least half of the variance is found where nothing is said",
         "sum of variances over the exact one", ">", 0.5,
         pairs["hidden_variance"] / dataset["hidden_variance"].sel(model="exact")),
        ("pairs/error", "The variance is of the size of the squared error", "mean variance over mean squared error",
         ">", 0.5, pairs["variance"] / pairs["squared_error"]),
        ("ensemble/error", "That of an ensemble is not", "mean variance over mean squared error", "<", 0.1,
         ensemble["variance"] / ensemble["squared_error"]),
    ]  # fmt: skip
    findings = [_claim(*row[:2], f"{row[2]}, {_SEEDS}", *row[3:5]).judge(*mean_interval(row[5].values)) for row in rows]
    return findings + [_worst(pairs, beta) for beta in _BETAS]


def _worst(pairs: xarray.Dataset, beta: float) -> Finding:
    """On the most unsafe of all trained models and of both decoders."""
    claim = _claim(
        f"pairs/hallucinated-{beta}",
        f"Where nothing is said, at most a share {beta:g} of answers meet the hazard",
        "largest unsafe share of answers over all seeds, by rejection and by search",
        "<",
        beta,
        computed=True,
    )
    shares = pairs["unsafe_hidden"].sel(decoder=["rejection", "search"], beta=beta)
    # A model that never answers leaves this undecided.
    return claim.judge(float(shares.max(skipna=False)))


def _claim(name: str, statement: str, quantity: str, relation: Relation, bound: float, **knobs: Any) -> Claim:
    return Claim(f"pairs_lake/{name}", _PAPER, statement, quantity, relation, bound, **knobs)
