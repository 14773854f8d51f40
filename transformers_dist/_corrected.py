"""The exact correction: draw from the approximation, weigh by how far it is off."""

from __future__ import annotations

from typing import Any

from probinf import Draw, Reweight, Sampler
from probinf._measure import as_distribution, as_factor


def corrected(approximation: Any, prior: Any, likelihood: Any) -> Sampler:
    """Draws of the approximation, weighted so that they stand for prior times likelihood.

    Law: m -> m * prior * likelihood, proper: exp(log_z) is unbiased for the evidence, and weighted
    averages are consistent. `diagnose` of the particles says how good the approximation was. Where the approximation
    has lighter tails than the posterior the weights have no variance; the diagnosis is there to say so.

    `prior` and `likelihood` are factors, objects with `sample` and `log_prob`, or functions of x, in the space of the
    approximation.
    """
    q = as_distribution(approximation, "approximation")
    return Draw(q) >> Reweight(as_factor(prior, "prior") * as_factor(likelihood, "likelihood") / q)
