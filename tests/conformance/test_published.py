"""The control of the two published particle Gibbs kernels: with the reference's own weight the same code is right."""

import jax
import pytest

from probinf.validity import check_case
from probinf.validity.planted import observations, path_case, small_hmm
from probinf.validity.planted._particle import PublishedParticleGibbs


@pytest.mark.parametrize(("weight", "right"), [("current", True), ("next", False), ("final", False)])
def test_only_the_current_reward_of_the_reference_keeps_the_posterior(weight, right):
    kernel = PublishedParticleGibbs(small_hmm(), observations(), weight)
    row = check_case(path_case(weight, kernel), jax.random.key(0), replicates=0)
    assert row.exact_error is not None
    assert (row.exact_error < 1e-12) is right
    if not right:
        assert row.exact_error > 0.01
