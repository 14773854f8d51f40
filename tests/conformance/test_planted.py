"""Every planted bug is caught by the check that should see it."""

import jax
import pytest

from probinf.cases import planted_cases
from probinf.validity import SamplerCase, check_case

BUGS = planted_cases()
CAUGHT_OTHERWISE = {
    "one key for two draws": "key reuse",
    "kernel at the wrong temperature": "symbolic",
    "adaptive temperatures as if weights were equal": "contract",
    "adaptive temperatures that stop early": "contract",
}


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_planted_bug_is_caught(bug):
    # Without the statistical check: all but those above must be seen by exact enumeration.
    # Where draws are continuous nothing can be enumerated: there frequencies must see it, far beyond their error rate.
    continuous = isinstance(bug, SamplerCase) and bug.expectations is not None
    row = check_case(bug, jax.random.key(0), replicates=8192 if continuous else 0)
    assert row.verdict == "flagged"
    assert row.caught_by == CAUGHT_OTHERWISE.get(bug.name, "statistical" if continuous else "exact"), row
    assert row.p_value is None or row.p_value < 1e-20


def test_catalogue_is_not_small():
    assert len(BUGS) >= 12
    assert len({bug.name for bug in BUGS}) == len(BUGS)
