"""Repeated sampling: draw until a verifier, which may err, accepts."""

from __future__ import annotations

from probinf._primitives import Draw, Verified
from probinf._sampler import Sampler
from probinf.samplers._noisy_verdict import NoisyVerdict, was_accepted


def retry_until_accepted(generator: Sampler, verdict: NoisyVerdict, *, budget: int) -> Sampler:
    """Draws a value and a verdict, up to `budget` times, and returns the first value that was accepted.

    Law: p(x | accepted) with mass 1 - (1 - q)^K (CHANGES_TARGET). With p the chance of a right value, t and f the
    verifier's rates, q = p t + (1 - p) f and v = p t / q,

        P(right) = v (1 - (1 - q)^K)    P(wrong) = (1 - v) (1 - (1 - q)^K)    P(abstain) = (1 - q)^K,

    so that with a false positive rate above zero no budget brings P(right) above v. A lane that abstains has weight
    zero. Values are `Judged`; the verdict of a retry is drawn anew.

    Raises: ValueError for a budget below one; MeaningError for a generator whose lanes are not independent.

    Source: arXiv 2411.17501; rejection sampling from p(x) P(accept | x).
    """
    return Verified(generator >> Draw(verdict), was_accepted, budget)
