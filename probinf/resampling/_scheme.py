"""What a resampling scheme is, and what its conditional twin must be."""

from __future__ import annotations

import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Int, PRNGKeyArray


class Scheme(eqx.Module):
    """Chooses the ancestors of the next generation by weight.

    Law: E[#{n: ancestors[n] = i}] = N w_i, with w the normalized weights. A lane of weight zero has no
    offspring, in float32 too. A cloud without weight keeps its lanes: ancestors[i] = i. NaN counts as weight
    zero.

    `exchangeable`: whether the law of the offspring counts follows the lanes through every permutation. Where
    it does not, the order of the lanes is part of the state, and only rotations of the cloud keep conditional
    SMC exact.
    """

    exchangeable: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The ancestor of each of the N lanes."""

    @abc.abstractmethod
    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The ancestors, given that lane 0 is retained: ancestors[0] == 0.

        Law: draw ancestors a from the scheme and a slot K uniformly, given a[K] = 0; that is, with
        probability proportional to P(a) #{k: a[k] = 0}. Then move slot K to the front. With a retained lane
        drawn by weight this is the scheme itself followed by a uniform choice of one offspring, hence
        conditional SMC keeps its target.

        Source: Andrieu, Doucet and Holenstein, Journal of the Royal Statistical Society B 72 (2010);
        Chopin and Singh (arXiv 1304.1887).
        """
