"""Every Python block of the README runs as printed, in a fresh namespace, and prints what stands under it."""

import contextlib
import io
import re
from pathlib import Path

import jax
import pytest

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", README, re.DOTALL)
# Draws differ a little between versions of JAX and between processors, and so does the rounding of exact checks.
ROUNDING = 1e-12


def same(printed: str, promised: str) -> bool:
    """Equal words, and numbers that agree to 4 % or .02; what is promised to be rounding must be rounding."""
    try:
        number, target = float(printed), float(promised)
    except ValueError:
        return printed == promised
    if abs(target) < ROUNDING:
        return abs(number) < ROUNDING
    return number == pytest.approx(target, rel=0.04, abs=0.02)


def words(text: str) -> list[str]:
    return re.sub(r"[\[\],]", " ", text).split()


def test_every_block_says_what_it_prints():
    assert len(BLOCKS) >= 7 and all(promised for _, promised in BLOCKS)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_a_block_prints_what_the_text_says(block):
    code, promised = BLOCKS[block]
    out = io.StringIO()
    # As a reader runs it: the tests' own settings would refuse what JAX allows by default.
    with contextlib.redirect_stdout(out), jax.numpy_rank_promotion("allow"):
        exec(compile(code, f"README.md, block {block}", "exec", dont_inherit=True), {"__name__": "readme"})
    printed, expected = words(out.getvalue()), words(promised)
    assert len(printed) == len(expected) and all(map(same, printed, expected)), out.getvalue()
