"""Gibbs sampling, and Metropolis within Gibbs: one part of a value at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from probinf._arguments import real
from probinf._choice import check_key, choice
from probinf._measure import Factor, MeaningError, Measure, as_factor, as_measure
from probinf._sampler import Info, Kernel
from probinf.kernels._accept import select
from probinf.kernels._cycle import Cycle
from probinf.kernels._part import Part, as_part


class Conditional(Factor):
    """A density as a function of one part of its value, the rest held fixed: the full conditional, unnormalized."""

    whole: Factor
    part: Part
    rest: Any

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole density's name, with a bar."""
        return f"({self.whole.name} | rest)"

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of the whole value with this part."""
        return self.whole.log_density(self.part.put(self.rest, x))


class Block(Kernel):
    """Updates one part of a value by a kernel for its full conditional.

    Law: keeps `target`, if `make_kernel(conditional)` keeps the conditional that it is given; a kernel that states
    another measure is refused. `where` is a key of a dictionary, an index of an array, or a selector such as
    `lambda x: x.scale`.

    Hand in the same `make_kernel` and selector again, as functions of a module or `eqx.Partial`: a new closure is
    compiled anew.

    Source: Geman and Geman, IEEE Transactions on Pattern Analysis and Machine Intelligence 6 (1984); Tierney, Annals
    of Statistics 22 (1994), section 2.4.

    Raises: TypeError for a selector that is none; MeaningError (when called) where the kernel keeps another measure
    than the conditional.
    """

    target: Factor = eqx.field(converter=as_factor)
    where: Part = eqx.field(converter=as_part)
    make_kernel: Callable[[Factor], Kernel]

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Info]:
        """One transition of the part."""
        check_key(key)
        known = self.target.given(self.where.where, x)
        conditional = Conditional(self.target, self.where, x) if known is None else known
        kernel = self.make_kernel(conditional)
        # Within one call the conditional is one object, so that the measures compare inside a trace too.
        if not kernel.invariant.same_law(as_measure(conditional)):
            raise MeaningError(
                f"the block's kernel keeps '{kernel.invariant.name}', but the conditional of its part is "
                f"'{conditional.name}': build it for the factor that make_kernel is given"
            )
        part, info = kernel(key, self.where.get(x))
        return self.where.put(x, part), info

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)


class RedrawInfo(NamedTuple):
    """`index`: which of the listed values was drawn."""

    index: Int[Array, ""]


class Redraw(Kernel):
    """Draws afresh from a target with finitely many values, all of them listed.

    Law: from every x the result has the law of `target`, normalized over `values` (leading axis K of each leaf, K
    evaluations of the density). Within `Block` this is exact Gibbs sampling. NaN and +inf count as density zero; where
    nothing listed is possible the value stays.

    Raises: ValueError where there is no value, one is NaN, or leaves disagree in number.
    """

    target: Factor = eqx.field(converter=as_factor)
    values: PyTree = eqx.field(converter=lambda values: jax.tree.map(jnp.asarray, values))

    def __check_init__(self):
        """Rejects an empty list."""
        sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(self.values)}
        if len(sizes) != 1 or sizes <= {(), (0,)}:
            raise ValueError(f"Redraw needs values with one leading axis on every leaf, got {sorted(sizes)}")
        for leaf in jax.tree.leaves(self.values):
            real("values", leaf)

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, RedrawInfo]:
        """One of the values, by its density."""
        check_key(key)
        log_p = jax.vmap(self.target.log_density)(self.values)
        log_p = jnp.where(jnp.isnan(log_p) | (log_p == jnp.inf), -jnp.inf, log_p)
        index = choice(key, log_p)
        drawn = jax.tree.map(lambda leaf, old: leaf[index].astype(jnp.result_type(old)), self.values, x)
        return select(log_p[index] > -jnp.inf, drawn, x), RedrawInfo(index)

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)


def gibbs(target: Any, *blocks: tuple[Any, Callable[[Factor], Kernel]]) -> Cycle:
    """Updates the parts of a value in turn, each given the newest values of the others.

    Law: keeps `target`, if each block does (a systematic scan is not reversible). A block is a pair of a selector and
    a function from the conditional to a kernel: `("scale", eqx.Partial(MetropolisHastings,
    proposal=random_walk(0.5)))`, or `(0, eqx.Partial(Redraw, values=jnp.arange(3)))`. See `Block` and `Redraw`.

    Raises: ValueError for no block.
    """
    target = as_factor(target)
    return Cycle(tuple(Block(target, where, make_kernel) for where, make_kernel in blocks))
