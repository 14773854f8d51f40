"""Parallel tempering: chains at several temperatures that exchange their states.

Law: keeps prod_i prior(x_i) * likelihood(x_i)^beta_i (INVARIANT), of which the chain at beta = 1 is the posterior. Each
part of a transition is reversible, their sequence is not: that is what carries states up and down the ladder.

Source: Geyer, Computing Science and Statistics 23 (1991); even and odd pairs in turn: Okabe, Kawata, Okamoto and
Mikami, Chemical Physics Letters 335 (2001); why not at random: Syed, Bouchard-Cote, Deligiannidis and Doucet, Journal
of the Royal Statistical Society B 84 (2022), arXiv 1905.02939.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf._arguments import floating, is_count, real
from probinf._choice import check_key, flip
from probinf._measure import Distribution, Factor, MeaningError, Measure, as_distribution, as_factor
from probinf._particles import take_lanes
from probinf._sampler import Info, Kernel, repeated


class Tempered(Factor):
    """The product, over a ladder, of prior * likelihood^beta; a value has the leading axis of temperatures.

    Law: density prod_i prior(x[i]) * likelihood(x[i])^betas[i].
    """

    prior: Distribution
    likelihood: Factor
    betas: Float[Array, " temperatures"] = eqx.field(converter=partial(real, "betas", axes="temperatures", low=0))

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The product as text."""
        return f"{self.prior.name} * {self.likelihood.name}^beta, {len(self.betas)} temperatures"

    def at(self, beta: Float[Array, ""]) -> Measure:
        """The factor of one temperature."""
        return self.prior * self.likelihood**beta

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Sum over the temperatures, in nats."""
        return jnp.sum(jax.vmap(lambda beta, value: self.at(beta).log_density(value))(self.betas, x))


class SwapInfo(NamedTuple):
    """For the pairs of neighbors that were tried: whether they exchanged their states, and the log of the ratio."""

    accepted: Bool[Array, " pairs"]
    log_ratio: Float[Array, " pairs"]


class SwapNeighbors(Kernel):
    """Exchanges the states of temperatures i and i + 1, for i = first, first + 2, ..., each with probability
    min(1, exp((beta_i - beta_{i+1}) * (l_{i+1} - l_i))), where l is the log-likelihood.

    Law: reversible for `tempered`; the pairs are disjoint, so their swaps are independent. A state of likelihood zero,
    NaN or +inf is never moved to a colder temperature.
    """

    tempered: Tempered
    first: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects pairs that start anywhere but at the first or second temperature."""
        if not is_count(self.first, 0) or self.first > 1:
            raise ValueError(f"pairs of neighbors start at 0 or 1, got first={self.first}")

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, SwapInfo]:
        """One attempt for each pair."""
        check_key(key)
        betas = self.tempered.betas
        log_ratio = self.log_ratio(jax.vmap(self.tempered.likelihood.log_density)(x))[self.first :: 2]
        if not log_ratio.shape[0]:
            return x, SwapInfo(jnp.zeros(0, bool), log_ratio)
        accepted = flip(key, log_ratio)
        step = accepted.astype(jnp.int32)
        order = jnp.arange(len(betas), dtype=jnp.int32)
        order = order.at[self.first : -1 : 2].add(step).at[self.first + 1 :: 2].add(-step)
        return take_lanes(x, order), SwapInfo(accepted, log_ratio)

    def log_ratio(self, log_likelihood: Float[Array, " temperatures"]) -> Float[Array, " pairs"]:
        """Log of the acceptance ratio of each pair of neighbors, before it is cut at one."""
        usable = jnp.where(jnp.isnan(log_likelihood) | (log_likelihood == jnp.inf), -jnp.inf, log_likelihood)
        cold, hot = usable[1:], usable[:-1]
        # What cannot exist at the colder temperature stays where it is; what got there leaves at the first chance.
        gain = jnp.where(hot == -jnp.inf, -jnp.inf, jnp.where(cold == -jnp.inf, jnp.inf, hot - cold))
        return jnp.diff(self.tempered.betas) * gain

    @property
    def invariant(self) -> Measure:
        """The product over the ladder."""
        return Measure((self.tempered,), (1.0,))


class ParallelTemperingInfo(NamedTuple):
    """swaps: for each pair of neighbors, whether it exchanged its states, and the log of the ratio. kernel: what the
    kernels reported at their last transition, one entry a temperature."""

    swaps: SwapInfo
    kernel: Info


class ParallelTempering(Kernel):
    """Moves all temperatures, swaps even pairs, moves again, swaps odd pairs.

    Law: keeps `tempered` (a cycle of reversible kernels, itself not reversible). Values have the leading axis of
    temperatures, coldest last; `cold` picks it, and `init` draws a start from the prior.

    Raises: ValueError for fewer than one move; MeaningError where `make_kernel` gives a temperature a kernel that keeps
    another measure than that temperature's.
    """

    tempered: Tempered
    make_kernel: Callable[[Measure], Kernel]
    moves: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a ladder on which nothing moves, and kernels for other measures."""
        if not is_count(self.moves):
            raise ValueError(f"parallel_tempering makes at least one move between swaps, got moves={self.moves}")
        # Inside a trace measures cannot be compared.
        if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((self.tempered, self.make_kernel))):
            self._check_kernels()

    def _check_kernels(self) -> None:
        for beta in self.tempered.betas:
            target = self.tempered.at(beta)
            kept = self.make_kernel(target).invariant
            if not kept.same_law(target):
                raise MeaningError(
                    f"the kernel at inverse temperature {float(beta):.3g} keeps '{kept.name}', but its chain is to "
                    f"follow '{target.name}': build it for the measure that make_kernel is given"
                )

    def init(self, key: PRNGKeyArray) -> Any:
        """A draw from the prior at each temperature."""
        check_key(key)
        return jax.vmap(lambda k: self.tempered.prior.sample(k, ()))(jax.random.split(key, len(self.tempered.betas)))

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, ParallelTemperingInfo]:
        """One transition, in which every pair is tried once."""
        check_key(key)
        move_key, even_key, again_key, odd_key = jax.random.split(key, 4)
        x, _ = repeated(self._move, move_key, x, self.moves)
        x, even = self.swap(0)(even_key, x)
        x, moved = repeated(self._move, again_key, x, self.moves)
        x, odd = self.swap(1)(odd_key, x)
        return x, ParallelTemperingInfo(jax.tree.map(_alternating, even, odd), moved)

    def _move(self, x: Any, key: PRNGKeyArray) -> tuple[Any, Info]:
        keys = jax.random.split(key, len(self.tempered.betas))
        at = lambda beta, key, value: self.make_kernel(self.tempered.at(beta))(key, value)  # noqa: E731
        return jax.vmap(at)(self.tempered.betas, keys, x)

    @property
    def built_parts(self) -> dict[str, Kernel]:
        """The kernel of the hottest temperature, which stands for all, and the swaps of even pairs: see `explain`."""
        return {"kernel": self.make_kernel(self.tempered.at(self.tempered.betas[0])), "swap": self.swap(0)}

    def swap(self, first: int) -> SwapNeighbors:
        """The exchange of the pairs (first, first + 1), (first + 2, first + 3), ..."""
        return SwapNeighbors(self.tempered, first)

    def cold(self, x: Any) -> Any:
        """The state at beta = 1, which follows the posterior."""
        return jax.tree.map(lambda leaf: leaf[-1], x)

    @property
    def invariant(self) -> Measure:
        """The product over the ladder."""
        return Measure((self.tempered,), (1.0,))


def parallel_tempering(
    prior: Any,
    likelihood: Any,
    make_kernel: Callable[[Measure], Kernel],
    betas: Sequence[float] | Float[np.ndarray, " temperatures"] | Float[Array, " temperatures"],
    *,
    moves: int = 1,
) -> ParallelTempering:
    """A kernel on states at inverse temperatures `betas`, from hot to 1, that moves within and swaps between them.

    `make_kernel` maps a measure to a kernel that keeps it, as in `tempered_smc`; between swaps each temperature makes
    `moves` transitions. The ladder is data: another of the same length does not compile anew. The lowest temperature
    index is the hottest; beta = 0 there is the prior.

    Law: keeps prod_i prior(x_i) * likelihood(x_i)^betas[i] (INVARIANT).

    Raises: ValueError where `betas` is not an increasing sequence of two numbers or more, from 0 or above to exactly 1,
    or `moves` is below one; MeaningError where `make_kernel` builds a kernel for another measure.
    """
    if not isinstance(betas, Tracer):
        floating("betas", betas)
        # By NumPy: what JAX makes of known numbers inside a trace can no longer be looked at.
        ladder = np.asarray(betas, float)
        if ladder.ndim != 1 or len(ladder) < 2 or not np.all(np.diff(ladder) > 0) or ladder[0] < 0 or ladder[-1] != 1.0:
            raise ValueError(f"betas must increase from 0 or above to exactly 1, at least two of them, got {ladder}")
    tempered = Tempered(as_distribution(prior), as_factor(likelihood), jnp.asarray(betas, float))
    return ParallelTempering(tempered, make_kernel, moves)


def _alternating(even: Array, odd: Array) -> Array:
    """What was found for the pairs 0, 2, ... and 1, 3, ..., in the order of the pairs."""
    pairs = jnp.zeros((len(even) + len(odd), *even.shape[1:]), even.dtype)
    return pairs.at[0::2].set(even).at[1::2].set(odd)
