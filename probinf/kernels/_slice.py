"""Slice sampling on ordered integers, by stepping out and shrinkage."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key, choice, uniform_cells
from probinf._measure import Factor, Measure, as_factor, as_measure
from probinf._sampler import Kernel


class SliceInfo(NamedTuple):
    """`width`: how many integers the interval held, once stepped out; `tries`: how many of them were looked at."""

    width: Int[Array, ""]
    tries: Int[Array, ""]


class Window(NamedTuple):
    """The integers from `low` to just before `end`, as positions in the table of densities around the value."""

    low: Int[Array, ""]
    end: Int[Array, ""]


class IntegerSlice(Kernel):
    """Draws a level below the density, steps an interval out of the slice above it, and shrinks it to a new value.

    Law: reversible for `target`, a density on the integers, hence keeps it, for every `width` and `max_windows`: the
    interval starts as a window of `width` integers placed at random around the value, and grows by whole windows to at
    most `max_windows`, a bound that is split between the two ends at random. NaN and +inf count as density zero; a
    value of density zero stays where it is.

    The density is evaluated at all `2 * width * max_windows - 1` integers that could be reached, at once. For
    floating-point values use `probinf.interop.from_blackjax(blackjax.coordinate_slice, target)`.

    Source: Neal, Annals of Statistics 31 (2003), figures 3 and 5, here on integers.

    Raises: ValueError for a width or bound below one; TypeError for a target that runs on the host, and (when called)
    for a value that is not one integer.
    """

    target: Factor = eqx.field(converter=as_factor)
    width: int = eqx.field(static=True, default=2)
    max_windows: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        """Rejects what cannot be compiled, and windows that hold nothing."""
        if not self.target.traceable:
            raise TypeError(f"IntegerSlice is compiled, but '{self.target.name}' runs on the host: Reweight by it")
        if not is_count(self.width) or not is_count(self.max_windows):
            raise ValueError(
                f"IntegerSlice needs width >= 1 and max_windows >= 1, got {self.width} and {self.max_windows}"
            )

    @property
    def reach(self) -> int:
        """How far the farthest integer is that one transition can reach, which is also where the table's middle is."""
        return self.width * self.max_windows - 1

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Int[Array, ""], SliceInfo]:
        """One transition."""
        check_key(key)
        x = jnp.asarray(x)
        if x.shape != () or not jnp.issubdtype(x.dtype, jnp.integer):
            raise TypeError(f"IntegerSlice moves one integer, got {x.dtype} of shape {x.shape}: use Block for a part")
        level_key, window_key, shrink_key = jax.random.split(key, 3)
        offsets = jnp.arange(-self.reach, self.reach + 1)
        log_p = jax.vmap(self.target.log_density)((x + offsets).astype(x.dtype))
        log_p = jnp.where(jnp.isnan(log_p) | (log_p == jnp.inf), -jnp.inf, log_p)
        inside = self.slice(level_key, log_p)
        window = self.step_out(window_key, inside)
        drawn, tries = self.shrink(shrink_key, inside, window)
        return (x + drawn - self.reach).astype(x.dtype), SliceInfo(window.end - window.low, tries)

    def slice(self, key: PRNGKeyArray, log_p: Float[Array, " table"]) -> Bool[Array, " table"]:
        """Which integers of the table lie above a level drawn uniformly below the density of the current one."""
        here = log_p[self.reach]
        relative = jnp.where(here > -jnp.inf, jnp.exp(log_p - here), 0.0)
        # The current value itself, which no rounding may exclude.
        return (uniform_cells(key, relative) < relative).at[self.reach].set(True)

    def step_out(self, key: PRNGKeyArray, inside: Bool[Array, " table"]) -> Window:
        """A window around the middle, grown by whole windows while the integers at its ends lie in the slice."""
        place_key, split_key = jax.random.split(key)
        low = self.reach - choice(place_key, jnp.zeros(self.width))
        left = choice(split_key, jnp.zeros(self.max_windows))
        right = self.max_windows - 1 - left
        # `low` belongs to the window and `end` does not: so the boundary between two windows is judged by one and the
        # same integer from either side, without which the interval would not be as likely from every point in it.
        return Window(
            self._grow(inside, low, left, -self.width), self._grow(inside, low + self.width, right, self.width)
        )

    def _grow(
        self, inside: Bool[Array, " table"], boundary: Int[Array, ""], budget: Int[Array, ""], step: int
    ) -> Int[Array, ""]:
        grows = lambda carry: (carry[1] > 0) & inside[carry[0]]  # noqa: E731
        return jax.lax.while_loop(grows, lambda carry: (carry[0] + step, carry[1] - 1), (boundary, budget))[0]

    def shrink(
        self, key: PRNGKeyArray, inside: Bool[Array, " table"], window: Window
    ) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """A uniform draw from the window, again and again, each one outside the slice cutting the window off there."""
        positions = jnp.arange(2 * self.reach + 1)

        def again(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, None]:
            def draw(carry: tuple) -> tuple:
                window, _, _, tries = carry
                held = (positions >= window.low) & (positions < window.end)
                drawn = choice(key, jnp.where(held, 0.0, -jnp.inf))
                return self.cut(window, drawn), drawn, inside[drawn], tries + 1

            # A draw that is not needed is not made, and has one outcome only.
            return jax.lax.cond(carry[2], lambda carry: carry, draw, carry), None

        start = (window, jnp.int32(self.reach), jnp.array(False), jnp.int32(0))
        # Every miss removes an integer and the current one is never removed, so this many draws find one in the slice.
        keys = jax.random.split(key, self.width * self.max_windows)
        (_, drawn, _, tries), _ = jax.lax.scan(again, start, keys)
        return drawn, tries

    def cut(self, window: Window, missed: Int[Array, ""]) -> Window:
        """The window without a draw that missed and what lies beyond it."""
        low = jnp.where(missed < self.reach, missed + 1, window.low)
        return Window(low, jnp.where(missed > self.reach, missed, window.end))

    @property
    def invariant(self) -> Measure:
        """The target."""
        return as_measure(self.target)
