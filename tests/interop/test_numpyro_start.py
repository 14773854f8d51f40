"""Chains of a numpyro model start where its density is finite, by any of numpyro's strategies."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import infer
from numpyro.distributions.transforms import OrderedTransform
from scipy import stats

from probinf import sample_chains
from probinf.interop import from_numpyro
from probinf.kernels import hmc
from tests.interop.models import draw

KEY = jax.random.key(0)
X = np.linspace(-4.0, 4.0, 40)
Y = np.digitize(X, [-1.0, 1.0])
# To a type checker what they give may be None.
init_to_value: Any = infer.init_to_value


def ordinal(x, y):
    """The ordinal regression of numpyro: far out in the prior a class has probability zero in single precision."""
    slope = draw("slope", dist.Normal(0.0, 5.0))
    base = dist.Normal(0.0, 1.0).expand([2])
    cuts = draw("cuts", dist.TransformedDistribution(base, OrderedTransform()))
    draw("y", dist.OrderedLogistic(x * slope, cuts), obs=y)


@pytest.mark.parametrize(
    "strategy",
    [infer.init_to_uniform, infer.init_to_median, infer.init_to_sample, infer.init_to_feasible, infer.init_to_mean],
)
def test_starts_are_finite_where_draws_from_the_prior_are_not(strategy):
    model = from_numpyro(ordinal, X, Y)
    starts = model.initialize(KEY, 50, strategy=strategy)
    assert starts["slope"].shape == (50,) and starts["cuts"].shape == (50, 2)
    values, slopes = jax.vmap(jax.value_and_grad(model.posterior.log_density))(starts)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((values, slopes)))
    draws = jax.vmap(lambda k: model.prior.sample(k, ()))(jax.random.split(KEY, 50))
    assert not np.isfinite(jax.vmap(model.posterior.log_density)(draws)).all()


def test_the_recipe_runs_on_an_ordinal_regression():
    model = from_numpyro(ordinal, X, Y)
    starts = model.initialize(KEY, 2)
    assert sample_chains(hmc(model.posterior, 0.1, 4), KEY, starts, 5).values["slope"].shape == (2, 5)


def test_starts_have_the_law_of_the_strategy_given_a_finite_density():
    """Kolmogorov-Smirnov on 2000 starts, false alarm 1e-6: uniform on (-2, 2), of which the wall leaves (-2, 1)."""

    def walled(y):
        x = draw("x", dist.Normal(0.0, 1.0))
        draw("y", dist.Normal(jnp.where(x < 1.0, x, jnp.nan), 1.0), obs=y)

    found: Any = from_numpyro(walled, 0.3).initialize(KEY, 2000)["x"]
    assert stats.kstest(np.asarray(found, float), stats.uniform(-2.0, 3.0).cdf).pvalue > 1e-6


def test_a_value_that_is_given_is_the_start():
    strategy = init_to_value(values={"cuts": jnp.array([-1.0, 1.0])})
    starts = from_numpyro(ordinal, X, Y).initialize(KEY, 2, strategy=strategy)
    # Ordered: the first, and the logarithm of the distance to the second.
    np.testing.assert_allclose(starts["cuts"], [[-1.0, np.log(2.0)]] * 2, rtol=1e-6)


def test_no_start_is_refused_and_is_no_number_inside_a_trace():
    model = from_numpyro(ordinal, X, Y)
    strategy = init_to_value(values={"slope": jnp.asarray(1e30)})
    with pytest.raises(ValueError, match=r"no start of ordinal .* in 100 attempts .*init_to_value"):
        model.initialize(KEY, 2, strategy=strategy)
    traced = jax.jit(lambda key: model.initialize(key, 2, strategy=strategy))(KEY)
    assert all(np.isnan(leaf).all() for leaf in traced.values())
    with pytest.raises(ValueError, match="chains >= 1"):
        model.initialize(KEY, 0)
