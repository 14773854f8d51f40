"""Products of named factors with exponents, and the strength of a claim."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinf import Density, Draw, Guarantee, Measure, Named, spawn
from probinf._measure import as_distribution, as_factor, as_measure
from tests.core.models import OnHost, Table, likelihood, prior


def edge(x):
    """Zero below one half, +inf above two."""
    return jnp.where(x < 0.5, -jnp.inf, jnp.where(x > 2.0, jnp.inf, x))


def wall(x):
    return jnp.where(x < 0.5, -jnp.inf, 0.0)


A, B = Density("a", edge), Density("b", wall)


def test_a_ratio_of_equals_is_one():
    m = prior() * likelihood()
    assert (m / prior()).name == "likelihood"
    assert (m / m).name == "1" and not (m / m).factors
    assert m.same_law(likelihood() * prior())


def test_order_and_grouping_do_not_matter():
    a, b, c = prior(), likelihood(), Table(jnp.zeros(3), "c")
    assert ((a * b) * c).same_law(a * (b * c))
    assert (a / (b / c)).same_law(a * c / b)
    assert ((a * b) ** 2.0).same_law(a**2.0 * b**2.0)
    assert not (a * b).same_law(a * c)


def test_factors_are_the_same_only_if_type_name_and_data_are():
    assert not as_measure(likelihood()).same_law(as_measure(likelihood(np.log([0.9, 0.2, 0.4]))))
    assert not as_measure(Table(jnp.zeros(3), "a")).same_law(as_measure(Table(jnp.zeros(3), "b")))
    assert not as_measure(Density("a", wall)).same_law(as_measure(Density("a", edge)))
    # An equal law written as another type stays in the ratio: names and types are compared, not functions.
    assert not as_measure(prior()).same_law(as_measure(Table(prior().log_probs, "prior")))
    # numpyro's distributions by their parameters.
    assert (as_distribution(dist.Normal(0.0, 1.0)) / as_distribution(dist.Normal(0.0, 1.0))).name == "1"
    assert len((as_distribution(dist.Normal(0.0, 1.0)) / as_distribution(dist.Normal(0.5, 1.0))).factors) == 2


def test_exponents_that_are_arrays_cancel_to_rounding():
    betas = jnp.linspace(0.0, 1.0, 11)
    m = as_measure(prior())
    for before, after in itertools.pairwise(betas):
        m = m * likelihood() ** (after - before)
    assert m.same_law(prior() * likelihood())
    assert not m.same_law(prior() * likelihood() ** 0.999)


def test_exponents_in_a_trace_are_never_taken_for_equal():
    verdicts = []

    @jax.jit
    def traced(beta):
        verdicts.append((prior() * likelihood() ** beta).same_law(prior() * likelihood()))
        verdicts.append((likelihood() ** beta).same_law(likelihood() ** beta))
        return (likelihood() ** beta).log_density(jnp.int32(1))

    np.testing.assert_allclose(traced(0.5), 0.5 * np.log(0.2), rtol=1e-6)
    assert verdicts == [False, False]


def test_density_is_the_product_of_powers():
    m = prior() * likelihood() ** 0.3 / Table(jnp.log(jnp.array([2.0, 3.0, 4.0])), "t")
    expected = np.log([0.2, 0.5, 0.3]) + 0.3 * np.log([0.9, 0.2, 0.5]) - np.log([2.0, 3.0, 4.0])
    lanes = m.log_density_lanes(jnp.arange(3), 3)
    np.testing.assert_allclose(lanes, expected, rtol=1e-6)
    np.testing.assert_allclose(m.log_density(jnp.int32(2)), expected[2], rtol=1e-6)
    assert Measure().log_density(jnp.int32(0)) == 0.0


@pytest.mark.parametrize(
    ("m", "x", "expected"),
    [
        (A / B, 0.0, -np.inf),  # zero over zero
        (B / A, 0.0, -np.inf),
        (B / A, 1.0, -1.0),
        (A**0.0, 0.0, 0.0),  # zero to the power of zero
        (A ** jnp.float32(0), 3.0, 0.0),  # infinity to the power of zero
        (as_measure(A), 3.0, np.inf),
        (A**-1.0, 0.0, np.inf),  # one over zero: Reweight calls it INVALID
        (A**-1.0 * B, 0.0, -np.inf),
    ],
)
def test_zeros_and_infinities(m, x, expected):
    value = m.log_density(jnp.float32(x))
    assert value == np.float32(expected)
    assert m.log_density_lanes(jnp.full(2, x), 2)[1] == value


def test_names_read_like_the_product():
    assert (prior() * likelihood() ** 0.3).name == "prior * likelihood^0.3"
    assert (prior() / likelihood()).name == "prior * likelihood^-1"
    assert Measure().name == "1"


def test_the_weakest_claim_wins():
    order = [Guarantee.EXACT, Guarantee.PROPER, Guarantee.CONSISTENT, Guarantee.CHANGES_TARGET, Guarantee.HEURISTIC]
    for i, j in itertools.product(range(5), range(5)):
        assert order[i].weakest(order[j]) is order[max(i, j)]
        product = as_measure(prior()).claiming(order[i]) * as_measure(likelihood()).claiming(order[j])
        assert product.guarantee is order[max(i, j)]
    assert Guarantee.INVARIANT.strength == Guarantee.CONSISTENT.strength
    assert (as_measure(prior()).claiming(Guarantee.HEURISTIC) ** 2.0).guarantee is Guarantee.HEURISTIC


def test_host_factors_make_the_product_run_on_the_host():
    assert (prior() * likelihood()).traceable
    assert not (prior() * OnHost([0.0])).traceable


@pytest.mark.parametrize(
    ("base", "shape"),
    [
        (dist.Normal(0.0, 1.0), ()),
        (dist.Normal(jnp.zeros(3), 1.0), (3,)),
        (dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)), (2,)),
        (dist.Normal(jnp.zeros((2, 3)), 1.0).to_event(1), (2, 3)),
    ],
)
def test_distributions_of_numpyro(base, shape):
    cloud, _ = Draw(base)(jax.random.key(0), spawn(4))
    assert cloud.values.shape == (4, *shape)
    named = as_distribution(base)
    log_p = named.log_density_lanes(cloud.values, 4)
    assert log_p.shape == (4,)
    expected = jax.vmap(base.log_prob)(cloud.values).reshape(4, -1).sum(axis=1)
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)


def test_numbers_of_foreign_distributions_are_data():
    leaves = jax.tree.leaves(as_distribution(dist.Normal(0.5, 1.0)))
    assert leaves and all(eqx.is_array(leaf) for leaf in leaves)
    assert isinstance(as_factor(dist.Normal(0.5, 1.0)), Named)


def test_what_is_no_factor_is_refused():
    with pytest.raises(TypeError, match="expected a Factor, a Measure or a function"):
        as_factor(3)
    for wrong in (lambda x: x, dist.Normal, 3):
        with pytest.raises(TypeError, match=r"sample\(key\) and log_prob\(x\)"):
            as_distribution(wrong)
