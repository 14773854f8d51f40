"""Answer: which statement decides, and when a number is complete."""

import math

import pytest

from probinf.verifiers import Answer


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("5 + 7 = 12. The answer is 12.", True),
        ("THE ANSWER IS: $12", True),
        ("The answer is 12.0 apples", True),
        ("The answer is\n12", True),
        ("The answer is 012", True),
        ("The answer is 12. Q: Two? A: The answer is 2.", True),
        ("The answer is unclear. The answer is 12.", True),
        ("The answer is 2. The answer is 12.", False),
        ("The answer is 12.5", False),
        ("The answer is 120", False),
        ("The answer is -12", False),
        ("The answer is twelve", False),
        ("12", False),
        ("", False),
    ],
)
def test_the_first_statement_decides(text, accepted):
    assert Answer(12).accepts(text) == accepted


def test_commas_signs_and_zero():
    assert Answer(1200).accepts("the answer is 1,200, of course")
    assert Answer(-3).accepts("the answer is -3.") and not Answer(-3).accepts("the answer is 3.")
    assert all(Answer(0).accepts(f"the answer is {zero}") for zero in ("0", "-0", "0.00", "00"))


@pytest.mark.parametrize(
    ("number", "alive"),
    [
        ("", True),
        ("-", True),
        ("$", True),
        ("1", True),
        ("01", True),
        ("1,", True),
        ("12", True),
        ("12.", True),
    ]
    + [
        ("12.0", True),
        ("12 apples", True),
        ("2", True),  # 24/2
        ("1.", True),  # 1.2e1
        ("1 ", True),  # 1 200%
        ("-1", False),
        ("2. ", False),
        ("2 apples", False),
        ("12 and 13", False),
        ("12 + y", False),
    ]
    + [("12.5 ", True), ("12.5 kg", False), ("11. The answer is 12", False)],
)
def test_a_number_is_judged_when_it_can_no_longer_become_the_value(number, alive):
    assert (Answer(12).log_potential(f"The answer is {number}", False) > -math.inf) == alive


def test_progress_counts_intermediate_results_and_the_answer():
    verifier = Answer(12, intermediate=(20, 8), strength=1.0)
    assert verifier.log_potential("4 * 5 = 20", False) == 0.0  # may become 200 or 20.5
    assert verifier.log_potential("4 * 5 = 20.", False) == 0.0
    assert verifier.log_potential("4 * 5 = 20. ", False) == 1.0
    assert verifier.log_potential("4 * 5 = 20. 20 - 8 = 12. ", False) == 2.0
    assert verifier.log_potential("4 * 5 = 20. The answer is 12", False) == 1.0
    assert verifier.log_potential("4 * 5 = 20. The answer is 12.\n", False) == 2.0
    assert verifier.log_potential("The answer is 12.", True) == 1.0
    assert verifier.log_potential("4 * 5 = 208. 2,000 is not 20.5. ", False) == 0.0
    assert verifier.log_potential("20. So", True) == -math.inf


@pytest.mark.parametrize("intermediate", [(-1,), (2, 2)])
def test_bad_intermediate_results_are_refused(intermediate):
    with pytest.raises(ValueError, match="distinct numbers of zero or more"):
        Answer(3, intermediate=intermediate)


def test_fractions_are_refused():
    with pytest.raises(TypeError, match="integer"):
        Answer(1.5)  # pyright: ignore[reportArgumentType]
