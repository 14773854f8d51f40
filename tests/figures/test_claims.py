"""Verdicts follow from intervals, and the file of claims survives a crash."""

import json

import pytest

from probinf.figures import Claim, Verdict, atomic_path, decide, update_claims


@pytest.mark.parametrize(
    ("interval", "relation", "bound", "verdict"),
    [
        ((0.1, 0.3), ">", 0.0, Verdict.HOLDS),
        ((0.0, 0.3), ">", 0.0, Verdict.UNDECIDED),
        ((-0.2, 0.0), ">", 0.0, Verdict.UNDECIDED),
        ((-0.2, -0.1), ">", 0.0, Verdict.FAILS),
        ((-0.04, 0.02), "within", 0.05, Verdict.HOLDS),
        ((-0.04, 0.05), "within", 0.05, Verdict.UNDECIDED),
        ((0.06, 0.1), "within", 0.05, Verdict.FAILS),
        ((-0.1, -0.06), "within", 0.05, Verdict.FAILS),
        ((0.3, 0.3), ">", 0.0, Verdict.UNDECIDED),
        ((float("nan"), 0.3), ">", 0.0, Verdict.UNDECIDED),
        ((0.1, 0.3), "<", 0.5, Verdict.HOLDS),
        ((0.1, 0.5), "<", 0.5, Verdict.UNDECIDED),
        ((0.6, 0.7), "<", 0.5, Verdict.FAILS),
    ],
)
def test_verdicts(interval, relation, bound, verdict):
    assert decide(interval, relation, bound) is verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.4, Verdict.HOLDS), (0.6, Verdict.FAILS), (float("nan"), None)])
def test_what_is_computed_needs_no_interval(value, verdict):
    exact = Claim("a/x", "arXiv:0000.00000", "small", "the error", "<", 0.5, computed=True)
    assert exact.judge(value).verdict is (verdict or Verdict.UNDECIDED)
    assert "computed without sampling, lies < 0.5" in exact.criterion
    with pytest.raises(ValueError, match="exactly where the quantity is sampled"):
        exact.judge(value, (0.1, 0.2))
    with pytest.raises(ValueError, match="exactly where the quantity is sampled"):
        claim("a/y").judge(value)


def claim(name, published=None):
    return Claim(name, "arXiv:0000.00000", "more is better", "the gain", ">", 0.0, published)


def test_claims_of_one_figure_replace_its_own_and_no_others(tmp_path):
    path = tmp_path / "claims.json"
    update_claims(path, "a", [claim("a/x", "0.5").judge(0.1, (-0.1, 0.3)), claim("a/y").judge(-1.0, (-2.0, -1.0))])
    update_claims(path, "ab", [claim("ab/x").judge(1.0, (0.5, 1.5))])
    update_claims(path, "a", [claim("a/x", "0.5").judge(float("nan"), (float("nan"), 0.3))])
    stored = {entry["id"]: entry for entry in json.loads(path.read_text())}
    assert stored.keys() == {"a/x", "ab/x"}
    assert stored["ab/x"]["verdict"] == "holds"
    assert stored["a/x"]["value"] is None and stored["a/x"]["published"] == "0.5"
    assert stored["a/x"]["verdict"] == "undecided"
    assert "95 % interval of the gain lies wholly > 0" in stored["a/x"]["criterion"]


def test_a_file_that_is_not_a_list_of_claims_is_left_alone(tmp_path):
    path = tmp_path / "claims.json"
    path.write_text("notes")
    with pytest.raises(ValueError, match="move it away"):
        update_claims(path, "a", [])
    assert path.read_text() == "notes"


def test_a_crash_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
