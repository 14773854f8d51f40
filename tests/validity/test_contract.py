"""Contracts see what no law does, and report it without raising."""

import jax
import jax.numpy as jnp
import numpy as np

import probinf as pi
from probinf.cases._tempering_models import moments, sharp_adaptive, sharp_moments, small_prior
from probinf.resampling import Multinomial, Scheme
from probinf.validity import (
    Contract,
    ContractReport,
    SamplerCase,
    check_ancestors,
    check_case,
    check_contract,
    check_ladder,
    check_weights,
)

KEY = jax.random.key(0)


def test_a_kept_ladder_has_no_violation():
    report = check_ladder(np.array([0.1, 0.4, 1.0]), np.array([0.501, 0.499, 0.8]), target=0.5)
    assert report.violations() == {} and report.worst == "none"
    assert report.ess is not None and abs(report.ess - 0.001) < 1e-12 and report.ancestors is None


def test_every_broken_promise_of_a_ladder_is_named():
    good = np.array([0.5, 0.5, 0.8])
    broken = {
        # What BlackJAX 1.7.1 achieved when it was asked for .5.
        "ess": (np.array([0.1, 0.2, 0.3, 0.5, 0.7, 1.0]), np.array([0.50, 0.89, 0.62, 0.75, 0.70, 0.96])),
        "overshoot": (np.array([0.1, 0.4, 1.0]), np.array([0.5, 0.5, 0.3])),
        "climb": (np.array([0.4, 0.4, 1.0]), good),
        "end": (np.array([0.1, 0.4, 0.99999]), good),
    }
    for name, (temperatures, ess) in broken.items():
        report = check_ladder(temperatures, ess, target=0.5)
        assert list(report.violations()) == [name] and report.worst == name
    assert check_ladder(np.zeros(0), np.zeros(0), target=0.5).worst == "end"
    assert "ess" in check_ladder(np.array([0.1, 1.0]), np.array([np.nan, 0.8]), target=0.5).violations()


def test_ancestors_and_heirs():
    log_weights = np.log([0.5, 0.0, 0.5], where=[True, False, True], out=np.full(3, -np.inf))
    assert check_ancestors(log_weights, np.array([0, 2, 2])).violations() == {}
    assert check_ancestors(log_weights, np.array([0, 1, 1])).violations() == {"heirs": 2}
    assert check_ancestors(log_weights, np.array([0, 3, -1])).violations() == {"ancestors": 2}
    assert check_ancestors(np.full(3, -np.inf), np.array([0, 1, 2])).violations() == {}


def test_weights_sum_to_one_unless_all_are_dead():
    cloud = pi.spawn(3, jnp.arange(3))
    for log_weights in ([0.0, -1.0, -jnp.inf], [-jnp.inf] * 3, [90.0, 89.0, -500.0]):
        assert check_weights(cloud.replace(log_weights=jnp.array(log_weights))).violations() == {}


def test_reports_join_to_the_worse():
    joined = ContractReport(ess=0.1, heirs=1).joined(ContractReport(ess=0.3, end=0.0))
    assert joined == ContractReport(ess=0.3, heirs=1, end=0.0)


class Outside(Scheme):
    """The planted bug: the last slot has an ancestor after the last lane."""

    def __call__(self, key, log_weights):
        ancestors = Multinomial()(key, log_weights)
        return ancestors.at[-1].set(len(ancestors))

    def conditional(self, key, log_weights):
        return self(key, log_weights)


def test_a_run_is_read_wherever_its_stages_are_nested():
    draw = pi.Draw(small_prior())
    for scheme, strays in ((Multinomial(), 0), (Outside(), 1)):
        report = check_contract(draw >> pi.Resample(scheme), 4, KEY, ess=0.5)
        assert report.ancestors == strays and report.ess is None


def test_a_consistent_sampler_passes_and_wrong_expectations_are_flagged():
    # The false-alarm rate of either check is 1e-6 where the bias is below its bound; seeds are fixed.
    case = SamplerCase("adaptive", sharp_adaptive(), expectations=(moments, sharp_moments()), contract=Contract(0.5))
    row = check_case(case, KEY)
    assert row.verdict == "pass" and row.guarantee == "consistent" and row.exact_error is None
    wrong = case._replace(expectations=(moments, sharp_moments() * np.array([1.06, 1.06, 1.06])))
    assert check_case(wrong, KEY).caught_by == "statistical"
    assert check_case(case._replace(contract=Contract(0.6)), KEY).caught_by == "contract"
    assert check_case(case._replace(contract=None), KEY).verdict == "unchecked"
    assert check_case(case, KEY, replicates=0).verdict == "unchecked"
