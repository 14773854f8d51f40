"""Designs written to fool the checks are caught, and unusual ones that are right pass."""

from collections import Counter

import jax
import pytest

from probinf.cases import CAUSES, attack_cases, planted_cases, shipped_cases, unusual_cases
from probinf.validity import check_case

ATTACKS, UNUSUAL = attack_cases(), unusual_cases()


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.case.name for attack in ATTACKS])
def test_attack_gets_its_verdict(attack):
    # Runs only where draws are continuous: elsewhere what is seen is a fact, and no luck.
    row = check_case(attack.case, jax.random.key(0), replicates=0, thorough=True)
    if row.verdict == "unchecked":
        row = check_case(attack.case, jax.random.key(0), replicates=8192, thorough=True)
    assert row.verdict == attack.verdict, row


@pytest.mark.parametrize("case", UNUSUAL, ids=[case.name for case in UNUSUAL])
def test_unusual_design_that_is_right_passes(case):
    row = check_case(case, jax.random.key(0), replicates=0, thorough=True)
    assert row.verdict == "pass", row


def test_the_catalog_is_not_small_and_names_are_told_apart():
    assert len(ATTACKS) >= 60 and len(UNUSUAL) >= 15
    assert set(Counter(attack.cause for attack in ATTACKS)) == set(CAUSES)
    assert min(Counter(attack.cause for attack in ATTACKS).values()) >= 6
    names = [attack.case.name for attack in ATTACKS] + [case.name for case in (*UNUSUAL, *planted_cases())]
    names += [case.name for case in shipped_cases()]
    assert [name for name, count in Counter(names).items() if count > 1] == []
