"""Particle filtering over steps of reasoning, with a process reward model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from probinf._measure import Distribution
from probinf._primitives import Draw, Resample, Reweight, Scan
from probinf._sampler import Sampler
from probinf.lm import writing
from probinf.resampling import Multinomial, Scheme
from probinf.samplers._entropic import Entropic, EntropicTwist
from probinf.samplers._weight_rules import Product, WeightRule

_PRODUCT, _MULTINOMIAL = Product(), Multinomial()


@runtime_checkable
class Writer(Protocol):
    """What writes solutions: `probinf.lm.Reasoning` here, or a server's counterpart."""

    @property
    def max_steps(self) -> int:
        """The most steps of a solution."""
        ...

    def start(self) -> Distribution:
        """Solutions of which nothing is written."""
        ...

    def step(self) -> Distribution:
        """The next step of every unfinished solution."""
        ...


def reasoning_filter(
    writer: Writer,
    rule: WeightRule = _PRODUCT,
    *,
    ess: float | None = None,
    scheme: Scheme = _MULTINOMIAL,
    islands: int = 1,
    entropic: Entropic | None = None,
) -> Sampler:
    """Writes solutions step by step; between steps, copies of those that the reward favors replace the others.

    Law: () -> p_LM(x) * prod_t potential_t(x) (PROPER), where the rule says what the product is: `exp(log_z)` is
    unbiased for its mass, weighted averages over the lanes are consistent only. With the default rule that is
    p(x) prod_t r_t.

    By default every round resamples, as the paper does; with `ess`, only one in which the effective sample size is
    below `ess * N`. Once all solutions are finished nothing is resampled any more, which would only copy. With
    `islands` > 1 the cloud is that many independent filters side by side. `entropic` flattens the selection early in
    the run, and keeps the law; with `ess` too, what has to fall below the threshold is the flattened selection's.

    Raises: ValueError where `ess` is outside (0, 1], or there is no island; when called, where the islands do not
    divide the cloud.

    Source: arXiv 2502.01618, section 3; its claim that normalized weights are unbiased does not hold (docs/errata.md).
    """
    write = Draw(writer.step()) >> Reweight(rule)
    sampler = Draw(writer.start()) >> write
    resample = Resample(scheme, ess, islands, writing)
    if writer.max_steps == 1:
        return sampler
    stage = resample if entropic is None else EntropicTwist(entropic, writer.max_steps, islands) >> resample
    return sampler >> Scan(stage >> write, length=writer.max_steps - 1)
