"""What the figure on sequential inference is to decide; written before it was run.

Seen before: two seeds of the blobs (chain .85 and .84, all data at once .96 and .97, prototypes .99) and the
transformer over 50 streams of ten updates (3e-4 nats); the settings of the chains were found on them. After the first
run two statements were cut down to what their quantities measure (order, prototypes) and test points were drawn about
the true centers of the blobs, not about the means of the training points; quantities and criteria are unchanged.
"""

from __future__ import annotations

import xarray

from probinf.figures._claims import Claim, Finding, Relation
from probinf.figures._transformer_metrics import mean_interval

_PAPER = "On Sequential Bayesian Inference for Continual Learning"


def distribution_transformer_sequential_claims(dataset: xarray.Dataset) -> list[Finding]:
    """The verdicts."""
    batch, chain = dataset["batch_accuracy"].values, dataset["chain_accuracy"].isel(task=-1).values
    learned = dataset["prototype_accuracy"].values
    kl = dataset["stream_kl"].isel(update=-1).values
    return [
        _claim("order", "Exact inference of a misspecified mean does not care about order",
               "largest difference of the posterior means of both orders and of all data at once", "<", 1e-4,
               computed=True).judge(float(dataset["order_difference"])),
        _claim("imbalance", "With a hundred times the data of one task, exact inference stays at it",
               "regret of the small task, in nats a datum", ">", 5.0,
               computed=True).judge(float(dataset["regret"].sel(counts="5000 : 50").values[1])),
        _claim("refit", "A refit to one Gaussian loses what the exact chain keeps",
               "log-density of the truth after ten tasks, exact chain less refitted chain, in nats", ">", 0.1,
               computed=True).judge(float((dataset["exact_truth"] - dataset["refit_truth"]).values[-1])),
        _claim("forgetting", "HMC, fit, prior: the chain forgets what all data at once remember",
               "accuracy on all tasks after the last, all data less chain, t interval over seeds", ">", 0.05,
               ).judge(*mean_interval(batch - chain)),
        _claim("prototypes", "Prototypes, which are told each point's blob, beat HMC on all data",
               "accuracy of prototypes less that of HMC on all data, t interval over seeds", ">", 0.0,
               ).judge(*mean_interval(learned - batch)),
        _claim("transformer", "The transformer's chain stays near the exact one",
               f"KL(exact || transformer) after {dataset.sizes['update']} updates, in nats, t interval over streams",
               "<", 0.01).judge(*mean_interval(kl)),
    ]  # fmt: skip


def _claim(
    name: str, statement: str, quantity: str, relation: Relation, bound: float, *, computed: bool = False
) -> Claim:
    return Claim(f"distribution_transformer_sequential/{name}", _PAPER, statement, quantity, relation, bound,
                 computed=computed)  # fmt: skip
