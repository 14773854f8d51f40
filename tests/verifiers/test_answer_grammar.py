"""The grammar of stated answers on a table of texts; values by hand, as a mathematician reads the sentence."""

import pytest

from probinf.verifiers import Answer

RIGHT = [
    (12, "The answer is 12."),
    (1024, "The answer is 2^10"),
    (1024, "The answer is 2**10"),
    (1024, "The answer is 2^{10}."),
    (1024, "the answer is 2\xb9\u2070"),
    (5000, "The answer is 5e3"),
    (5000, "The answer is 5 \xd7 10^3"),
    (5000, r"The answer is 5 \times 10^{3}"),
    (5000, "The answer is 5*10**3"),
    (1, "The answer is 100%"),
    (12, r"The answer is \boxed{12}"),
    (12, r"\boxed{12}"),
    (12, "The answer is **12**"),
    (12, "**The answer is 12.**"),
    (1000, "The answer is 1 000"),
    (1000, "The answer is 1\u2009000"),
    (1000, "The answer is 1\u202f000 km"),
    (-12, "The answer is \u221212"),
    (12, "The answer is $12"),
    (12, "The answer is $12$."),
    (12, r"The answer is \(12\)."),
    (12, r"The answer is $\boxed{12}$."),
    (12, "The answer is 12 apples"),
    (12, "The answer is 12kg"),
    (12, "The answer is 12 km/h."),
    (12, "The answer is 12 m^2."),
    (12, "The answer is 12 m\xb2."),
    (12, "The answer is 12 cm2"),
    (12, "The answer is 24/2"),
    (12, r"The answer is \frac{24}{2}"),
    (1200, "the answer is 1,200, of course"),
    (1200, "the answer is 1'200"),
    (1200, "the answer is 1{,}200"),
    (12, "The answer is 12 (dozen eggs)"),
    (12, "The answer is: 12"),
    (12, "#### 12"),
    (12, "The final answer is 12"),
    (12, "The answer is 12.0"),
    (12, r"The answer is 12^\circ"),
    (12, "The answer is 12\xb0"),
    (12, r"The answer is 12\text{ cm}"),
    (12, "The answer is 12th"),
    (12, "The answer is 1.2e1"),
    (12, "The answer is 1200%"),
    (0, "The answer is -0"),
    (1, "The answer is 10^0"),
    (12, "The answer is 12\u20ac"),
    (12, "The answer is 12 EUR."),
    (12, r"The answer is x = \boxed{12}."),
    (12, "The answer is 12? No, 13."),
    (12, "The answer is (12)"),
    (12, 'The answer is "12"'),
    (12, "The answer is `12`"),
    (12000, "The answer is 12\xa0000"),
    (12, r"The answer is $\boxed{\$12}$"),
    (-3, "The answer is $-3"),
    (-3, "The answer is -$3"),
    (12, "The answer is + 12"),
]
# Before, the first digits decided: 1/3 stated 1, 2^10 stated 2, 5e3 stated 5, 50% stated 50, and 1,2 stated 12.
NOT = [
    (1, "The answer is 1/3"),
    (12, "The answer is 12/5"),
    (2, "The answer is 2^10"),
    (5, "The answer is 5e3"),
    (50, "The answer is 50%"),
    (50, "The answer is 50 percent"),
    (50, r"The answer is 50\%"),
    (12, "The answer is 1,2"),
    (5, "The answer is 5 or 6"),
    (6, "The answer is 5 or 6"),
    (5, "the answer is 5 or six"),
    (12, "The answer is \u221212"),
    (12, "The answer is 12 million"),
    (12, "The answer is 12k"),
    (12, "The answer is 12x"),
    (12, "The answer is 12 and a half"),
    (12, "the answer is 12!"),
    (12, "The answer is 12 + x"),
    (12, "The answer is 4 + 8 = 12"),
    (4, "The answer is 4 + 8 = 12"),
    (1, "The answer is 1 1/2"),
    (1, r"The answer is \frac{1}{3}"),
    (120000, "the answer is 1,20,000"),
    (12, "The answer is 12.5"),
    (12, "The answer is 12:30"),
    (12, "The answer is 12, 13"),
    (12, "The answer is 12-13"),
    (12, "The answer is 12\u201313"),
    (12, "The answer is 12 \xb1 1"),
    (12, r"The answer is 12\sqrt{2}"),
    (12, r"The answer is 12\pi"),
    (12, "The answer is 12\u03c0"),
    (12, r"The answer is $12 \text{ million}$"),
    (12, r"\boxed{12"),
    (12, "The answer is 0,12"),
    (0, "The answer is 0,123"),
    (12, "The answer is 3/4/5"),
    (12, "The answer is 12\u2030"),
    (12, "the answer is 9^9999"),
    (5, "The answer is 5 to 6"),
    (3, "The answer is 3^-2"),
    (12, "The answer is 12 = 3*4"),
    (12, "The answer is 12x12"),
    (12, "The answer is 12/0"),
    (12, "The answer is 12\xa0000"),
    (12, "The answer is 12 out of 20"),
]


@pytest.mark.parametrize(("value", "text"), RIGHT)
def test_the_stated_number_is_read_exactly_and_no_prefix_of_it_is_dead(value, text):
    verifier = Answer(value)
    assert verifier.accepts(text)
    assert all(verifier.alive(text[:end]) for end in range(len(text) + 1))
    assert not Answer(value + 1).accepts(text)


@pytest.mark.parametrize(("value", "text"), NOT)
def test_another_number_or_several_are_not_the_answer(value, text):
    assert not Answer(value).accepts(text)


def test_numbers_too_long_to_compute_are_not_read():
    for text in ("9" * 5000, "9^9999", "2^99999", "1e9999", "1/" + "3" * 5000):
        assert not Answer(9).accepts(f"The answer is {text}")


def test_a_long_row_of_openings_is_read_in_linear_time():
    assert not Answer(1).accepts("the answer is " + "* " * 100_000)
