"""What a sampler means: products of named factors with exponents, and how strong the claim is."""

import abc
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from probinf._particles import undefined_lanes

# Exponents closer than this are the same: temperatures are sums of float32 increments.
_SAME_EXPONENT = 1e-5


class MeaningError(ValueError):
    """A composition that targets nothing, or a density that cannot be computed; the message names the fix."""


class Guarantee(enum.Enum):
    """How strongly a sampler's output is tied to the measure it states; a composition has the weakest of its parts."""

    EXACT = "exact"
    PROPER = "proper"
    CONSISTENT = "consistent"
    INVARIANT = "invariant"
    CHANGES_TARGET = "changes target"
    HEURISTIC = "heuristic"

    @property
    def strength(self) -> int:
        """Larger is stronger; CONSISTENT and INVARIANT are equally strong claims of different kinds."""
        return _STRENGTH[self.name]

    def weakest(self, other: "Guarantee") -> "Guarantee":
        """The weaker of the two claims."""
        return self if self.strength <= other.strength else other


_STRENGTH = {"EXACT": 4, "PROPER": 3, "CONSISTENT": 2, "INVARIANT": 2, "CHANGES_TARGET": 1, "HEURISTIC": 0}


class Factor(eqx.Module):
    """A named, possibly unnormalised density of the current value; the atoms of which measures are products.

    Two factors are the same, and cancel in a ratio, when their type, name and arrays are equal.
    """

    if TYPE_CHECKING:
        # A type checker would take the declaration below for an argument of every subclass's constructor.
        @property
        def name(self) -> str:
            """What the factor is called in a measure."""
            ...
    else:
        # No postponed annotations in this file: equinox would take an abstract variable for a field.
        name: eqx.AbstractVar[str]

    @property
    def traceable(self) -> bool:
        """False for a factor that runs Python on concrete values (a text verifier, a server)."""
        return True

    @abc.abstractmethod
    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-density of one value, in nats; -inf where it vanishes."""

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Log-density of each of n lanes; override for batched or host evaluation."""
        return jax.vmap(self.log_density, axis_size=n)(values)

    def given(self, where: Any, x: Any) -> "Factor | None":
        """The law of one part of x given the rest, up to a constant, where it has a form that kernels know."""
        del where, x
        return None

    def factored(self) -> "Measure":
        """The product that the factor stands for, of its smallest factors; override where one name holds many."""
        return as_measure(self)

    def __mul__(self, other: "Factor") -> "Measure":
        """Product of measures."""
        return as_measure(self)._times(as_measure(other), 1.0)

    def __truediv__(self, other: "Factor") -> "Measure":
        """Ratio of measures; equal factors cancel."""
        return as_measure(self)._times(as_measure(other), -1.0)

    def __pow__(self, exponent: float | Float[Array, ""]) -> "Measure":
        """A tempered measure."""
        whole = as_measure(self)
        return Measure(whole.factors, tuple(e * exponent for e in whole.exponents), whole.guarantee)


class Distribution(Factor):
    """A normalised factor that can be sampled: a kernel from the value so far to the next value.

    Law: `sample(key, x)` has density `log_density` at the value it returns, given x.
    """

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """Draws the next value given the value so far (`()` at the start)."""

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Any:
        """Draws for n lanes; a longer cloud keeps the draws of its first lanes. Override for batched models."""
        return jax.vmap(self.sample)(jax.random.split(key, n), values)

    def undefined_lanes(self, drawn: Any, n: int) -> Bool[Array, " n"]:
        """Which of n draws are of no law, because NaN stood where a number is needed; override to look elsewhere.

        By default those whose value holds NaN, or the index that `choice` gives where the logits hold NaN.
        """
        return undefined_lanes(drawn, n)

    def prefix(self, final: Any) -> Any:
        """The value this draw had on the way to `final`; conditional SMC retraces its reference with it."""
        return final

    def retrace_lanes(self, key: PRNGKeyArray, values: Any, n: int, reference: Any) -> Any:
        """Draws for n lanes, of which lane 0 takes the way that led to the final value `reference`.

        Override where a value cannot be put in place as it was (a network's state), but its draws can be repeated.
        """
        held = self.prefix(reference)
        return jax.tree.map(lambda lanes, value: lanes.at[0].set(value), self.sample_lanes(key, values, n), held)


class Measure(Factor):
    """A product of named factors with exponents, `p(x) * p(y|x)**0.3`, and the strength of the claim to it.

    Law: density `prod_i factor_i(x)**exponent_i`; a zero of any factor with positive exponent is a zero of the
    measure, also against a zero denominator.
    """

    factors: tuple[Factor, ...] = ()
    exponents: tuple[float | Float[Array, ""], ...] = ()
    guarantee: Guarantee = eqx.field(static=True, default=Guarantee.EXACT)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The product as text, such as `prior * likelihood^0.3`."""
        return " * ".join(_power(f, e) for f, e in zip(self.factors, self.exponents, strict=True)) or "1"

    @property
    def latex(self) -> str:
        r"""The product as LaTeX, such as `\text{prior} \cdot \text{likelihood}^{0.3}`."""
        powers = (_latex_power(f, e) for f, e in zip(self.factors, self.exponents, strict=True))
        return r" \cdot ".join(powers) or "1"

    def _repr_latex_(self) -> str:
        return rf"${self.latex}$ ({self.guarantee.value})"

    @property
    def traceable(self) -> bool:
        """Whether every factor is."""
        return all(f.traceable for f in self.factors)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Sum of exponent times log-density."""
        return self._combine([f.log_density(x) for f in self.factors], ())

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """The same for n lanes, each factor evaluated its own way."""
        return self._combine([f.log_density_lanes(values, n) for f in self.factors], (n,))

    def claiming(self, guarantee: Guarantee) -> "Measure":
        """The same product with a claim no stronger than `guarantee`."""
        return Measure(self.factors, self.exponents, self.guarantee.weakest(guarantee))

    def same_law(self, other: "Measure") -> bool:
        """Whether all factors of the ratio of the two measures cancel."""
        ratio = self / other
        if not ratio.factors:
            return True
        exponents = ratio.factored().exponents
        return all(_concrete(e) and abs(float(e)) < _SAME_EXPONENT for e in exponents)

    def factored(self) -> "Measure":
        """The product with every factor taken apart."""
        product = Measure((), (), self.guarantee)
        for factor, exponent in zip(self.factors, self.exponents, strict=True):
            product = product * factor.factored() ** exponent
        return product

    def _combine(self, logs: list[Array], shape: tuple[int, ...]) -> Array:
        total = jnp.zeros(shape)
        dead = jnp.zeros(shape, bool)
        for log_f, exponent in zip(logs, self.exponents, strict=True):
            # Anything to the power of zero is one, and a zero numerator wins over a zero denominator.
            total = total + jnp.where(exponent == 0, 0.0, exponent * log_f)
            dead = dead | ((log_f == -jnp.inf) & (exponent > 0))
        return jnp.where(dead, -jnp.inf, total)

    def _times(self, other: "Measure", sign: float) -> "Measure":
        factors, exponents = list(self.factors), list(self.exponents)
        for f, e in zip(other.factors, other.exponents, strict=True):
            for i, mine in enumerate(factors):
                if _same_factor(mine, f):
                    exponents[i] = exponents[i] + sign * e
                    if _concrete(exponents[i]) and abs(float(exponents[i])) < _SAME_EXPONENT:
                        del factors[i], exponents[i]
                    break
            else:
                factors.append(f)
                exponents.append(sign * e)
        return Measure(tuple(factors), tuple(exponents), self.guarantee.weakest(other.guarantee))


class Density(Factor):
    """A factor from a function of one value.

    Law: density `exp(log_fn(x))`. Numbers that vary belong in a Module's fields, not in a closure: a new closure is a
    new program.
    """

    name: str = eqx.field(static=True)
    log_fn: Callable[[Any], Float[Array, ""]]

    def log_density(self, x: Any) -> Float[Array, ""]:
        """`log_fn(x)`."""
        return self.log_fn(x)


class Named(Distribution):
    """A distribution from any object with `sample(key)` and `log_prob(x)`, such as numpyro's and distrax's.

    Law: that of the object; it does not look at the value so far. Where the object states a `support` of single
    numbers, as numpyro's do, the density outside it is zero: their own `log_prob` is a finite number there.
    """

    name: str = eqx.field(static=True)
    base: Any

    def sample(self, key: PRNGKeyArray, x: Any) -> Any:
        """A fresh draw."""
        del x
        return self.base.sample(key)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """The object's log-density, summed over what it regards as its batch."""
        log_p = self.base.log_prob(x)
        support = getattr(self.base, "support", None)
        # Constraints on whole vectors (a simplex) ask for more than rounding leaves of a draw.
        if callable(support) and getattr(support, "event_dim", None) == 0 and self.base.event_dim == 0:
            log_p = jnp.where(jnp.asarray(support(x)), log_p, -jnp.inf)
        return jnp.sum(log_p)

    def undefined_lanes(self, drawn: Any, n: int) -> Bool[Array, " n"]:
        """All lanes where a parameter is NaN: an object that draws integers need not show it in the value."""
        found = undefined_lanes(drawn, n)
        for leaf in jax.tree.leaves(self.base):
            if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
                found = found | jnp.any(jnp.isnan(leaf))
        return found


def as_measure(factor: Factor) -> Measure:
    """A factor as the measure with that one factor."""
    return factor if isinstance(factor, Measure) else Measure((factor,), (1.0,))


def as_factor(potential: Any, name: str | None = None) -> Factor:
    """What users hand to `Reweight`: a factor, an object with `sample` and `log_prob`, or a function x -> log-weight.

    Raises: TypeError for anything else.
    """
    if isinstance(potential, Factor):
        return potential
    if _is_foreign(potential):
        return as_distribution(potential, name)
    if callable(potential):
        function = cast(Callable[[Any], Any], potential)
        return Density(name or getattr(potential, "__name__", type(potential).__name__), function)
    raise TypeError(f"expected a Factor, a Measure or a function x -> log-weight, got {type(potential).__name__}")


def as_distribution(distribution: Any, name: str | None = None) -> Distribution:
    """What users hand to `Draw`: a `Distribution` as it is, or an object with `sample(key)` and `log_prob(x)`.

    Raises: TypeError for anything else.
    """
    if isinstance(distribution, Distribution):
        return distribution
    if _is_foreign(distribution):
        # Numbers become arrays, so that other numbers do not compile anew.
        base = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float) else x, distribution)
        return Named(name or type(distribution).__name__, base)
    raise TypeError(
        f"expected a Distribution, or an object with sample(key) and log_prob(x), got {type(distribution).__name__}"
    )


def _is_foreign(x: Any) -> bool:
    return hasattr(x, "sample") and hasattr(x, "log_prob") and not isinstance(x, type)


def _concrete(x: Any) -> bool:
    return not isinstance(x, Tracer)


def _same_factor(a: Factor, b: Factor) -> bool:
    if a is b:
        return True
    if type(a) is not type(b) or a.name != b.name:
        return False
    ours, theirs = (jax.tree.flatten(factor) for factor in (a, b))
    if ours[1] == theirs[1] and all(x is y for x, y in zip(ours[0], theirs[0], strict=True)):
        return True
    # Inside a trace arrays cannot be compared: the factors stay apart, which leaves the product as it was.
    return all(map(_concrete, jax.tree.leaves((a, b)))) and bool(eqx.tree_equal(a, b))


def _latex_power(factor: Factor, exponent: Any) -> str:
    # Inside \\text a hat and a tilde are commands that take an argument.
    special = {"^": r"\^{}", "~": r"\~{}", "\\": r"\backslash "}
    name = "".join(special.get(c, "\\" + c if c in "_#%&${}" else c) for c in factor.name)
    power = rf"\text{{{name}}}^{{?}}" if not _concrete(exponent) else rf"\text{{{name}}}^{{{float(exponent):g}}}"
    return power.removesuffix("^{1}")


def _power(factor: Factor, exponent: Any) -> str:
    if not _concrete(exponent):
        return f"{factor.name}^?"
    return factor.name if float(exponent) == 1.0 else f"{factor.name}^{float(exponent):g}"
