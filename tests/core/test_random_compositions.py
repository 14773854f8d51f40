"""Any composition of the primitives means what it says: small random ones, exactly."""

import numpy as np
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from probinf import Choose, Draw, Map, Nested, Proportional, Resample, Reweight, Scan, Twist, Verified
from probinf.resampling import Killing, Multinomial, Residual, Settled, Stratified, Systematic
from probinf.validity import TooManyWorlds, check_proper_weighting
from tests.core.models import Table, Walk, prior

# Worlds of one check; the strategies below seldom ask for more.
LIMIT = 30_000


def table(*values):
    with np.errstate(divide="ignore"):
        return Table(np.log(np.array(values, np.float32)), "table")


def rows(p):
    return Walk(np.log(np.array([[p, 1 - p], [1 - p, p]], np.float32)))


def is_one(x):
    return x == 1


def lift(x):
    return 0 * x + 1


def same(x):
    return x


def draw(p):
    return Draw(rows(p))


def reweight(weights):
    return Reweight(table(*weights))


def twisted(weights, scheme, ess, islands):
    return Twist(table(*weights)) >> Resample(scheme, ess, islands)


def verified(p, weights, budget):
    # The meaning of Verified is computed atom by atom, and an atom without mass cannot be drawn from: Map drops those.
    return Map(same) >> Verified(Draw(rows(p)) >> reweight(weights), is_one, budget)


def nested(p, weights, scheme, n):
    return Nested(reweight(weights) >> draw(p) >> Resample(scheme), n)


def scan(weights, scheme, ess, islands):
    return Scan(reweight(weights) >> Resample(scheme, ess, islands), length=2)


def stages(build, *arguments):
    """A stage as what builds it: strategies make plain data, and the test makes arrays of them."""
    return st.tuples(st.just(build), *arguments)


chances = st.sampled_from([0.25, 0.5, 0.8])
positive = st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 2)
# Lanes may die in state 0, so that mass is always left in state 1; a twist must not vanish where the target does not.
weights = st.one_of(positive, st.just((0.0, 2.0)))
schemes = st.sampled_from([Multinomial(), Stratified(), Systematic(), Residual(), Killing(), Settled(Multinomial())])
when = (schemes, st.sampled_from([None, 0.6, 0.95]), st.sampled_from([1, 1, 2]))
kinds = [
    stages(draw, chances),
    stages(reweight, weights),
    stages(twisted, positive, *when),
    stages(Resample, *when),
    stages(Map, st.just(lift)),
    stages(verified, chances, weights, st.sampled_from([1, 2])),
    stages(nested, chances, positive, schemes, st.sampled_from([1, 2])),
    stages(scan, weights, *when),
]
ends = st.sampled_from([(), (Choose, Proportional())])


@settings(
    max_examples=12,
    derandomize=True,
    # A failing example is small as it is; making it smaller takes minutes of compilation.
    phases=[Phase.generate],
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(st.lists(st.one_of(kinds), min_size=3, max_size=5), ends)
def test_any_composition_means_what_it_says(recipe, end):
    sampler = Draw(prior(np.log([0.3, 0.7])))
    for build, *arguments in [*recipe, end] if end else recipe:
        sampler = sampler >> build(*arguments)
    try:
        found = check_proper_weighting(sampler, 2, limit=LIMIT)
    except TooManyWorlds:
        event("too many worlds")
        assume(False)
    else:
        event(f"{len(recipe)} stages, 10^{np.log10(found.worlds):.0f} worlds")
        assert found.error < 1e-10
