"""What the figure on filtering is to decide; written before it was run.

Seen before the first run: nothing but training losses. In that run the network wrote one component for each of the
prior's, and all of them had become one after ten steps (1.09 distinct ones, which fails; -log q .22, extended Kalman
9.78, 10,000 particles .21). The shipped network writes two for each; the criteria are those of the first run.
"""

from __future__ import annotations

import numpy as np
import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._transformer_metrics import mean_interval

_PAPER = "arXiv:2502.02463"
# Section 4.3.1, nats; under another meta-prior and another range of the sensor.
PUBLISHED = {"extended": 95.9, "particles": -0.244, "transformer": -0.197}
_GAP = "mean over series and steps of the difference of -log q(true state), in nats, t interval over series"


def distribution_transformer_filter_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts."""
    score = dataset["score"].mean("step")
    ours = score.sel(filter="transformer").values
    distinct = dataset["distinct"].sel(filter="transformer").mean("step").values
    wild = float((~np.isfinite(dataset["score"].sel(filter="transformer"))).sum())
    most = dataset["filter"].values.tolist()[-1]
    return [
        _claim("finite", "The filter runs through without a number that is not finite",
               "number of series and steps whose score is not finite", "<", 1.0, computed=True).judge(wild),
        _claim("distinct", "Its components stay distinct",
               "distinct components, mean over steps, t interval over series", ">", 1.5,
               ).judge(*mean_interval(distinct)),
        _claim("extended", "It is nearer to the truth than the extended Kalman filter", _GAP, ">", 0.0,
               ).judge(*mean_interval(score.sel(filter="extended").values - ours)),
        _claim("particles", f"It is within .3 nats of {most}", _GAP, "<", 0.3,
               ).judge(*mean_interval(ours - score.sel(filter=most).values)),
    ]  # fmt: skip


def _claim(
    name: str, statement: str, quantity: str, relation: Relation, bound: float, *, computed: bool = False
) -> Claim:
    return Claim(f"distribution_transformer_filter/{name}", _PAPER, statement, quantity, relation, bound,
                 computed=computed)  # fmt: skip
