"""`probinf check` tells each row as it comes, keeps what it has when it is stopped, and finds cases by name."""

import json

import pytest

from probinf.cases import Attack
from probinf.cli import _check, main
from probinf.validity import Row, SamplerCase


def cases(*names):
    return tuple(SamplerCase(name, None) for name in names)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def checked(monkeypatch):
    """Four cases and two bugs that take no time; `stop` is where the user interrupts, by name."""
    seen: list[str] = []
    stop: list[str] = []

    def check_case(case, key, thorough):
        del thorough
        if case.name in stop:
            raise KeyboardInterrupt
        seen.append(case.name)
        bug = case.name.startswith("bug")
        caught = "exact" if bug else None
        return Row(case.name, "m -> m", "PROPER", 1e-16, None, "flagged" if bug else "pass", caught, 1234)

    monkeypatch.setattr(_check, "shipped_cases", lambda: cases("particle_gibbs", "gibbs", "Draw", "smc"))
    monkeypatch.setattr(_check, "planted_cases", lambda: cases("bug one", "bug of gibbs"))
    monkeypatch.setattr(_check, "unusual_cases", lambda: ())
    monkeypatch.setattr(
        _check, "attack_cases", lambda: tuple(Attack(case, "small n") for case in cases("bug that hides"))
    )
    monkeypatch.setattr(_check, "_BUILT", {})
    monkeypatch.setattr(_check, "check_case", check_case)
    return seen, stop


def test_every_case_is_told_and_written(checked, capsys, tmp_path):
    assert main(["check", "--planted", "--json", str(tmp_path / "rows.json")]) == 0
    printed = capsys.readouterr().out
    told = "4 of 4 shipped samplers pass; 2 of 2 planted bugs are caught; 1 of 1 attacks are caught."
    assert told in " ".join(printed.split())
    assert all(name in printed for name in checked[0])
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows["complete"] is True
    assert [row["name"] for row in rows["samplers"]] == ["particle_gibbs", "gibbs", "Draw", "smc"]
    assert [row["verdict"] for row in rows["planted"]] == ["flagged", "flagged"]
    assert [row["wanted"] for row in rows["attacks"]] == ["flagged"]


@pytest.mark.parametrize(
    "pattern, names",
    [("gibbs", ["particle_gibbs", "gibbs", "bug of gibbs"]), ("D?AW", ["Draw"]), ("*smc", ["smc"])],
)
def test_cases_are_found_by_name(checked, pattern, names):
    assert main(["check", "--planted", "--name", pattern]) == 0
    assert checked[0] == names


def test_a_name_that_no_case_has_is_an_error(checked, capsys):
    assert main(["check", "--name", "nuts"]) == 1
    assert "no case has a name like 'nuts'" in capsys.readouterr().err


def test_what_was_checked_before_an_interruption_is_kept(checked, capsys, tmp_path):
    # Before: nothing was printed or written before the last case had ended.
    checked[1].append("Draw")
    assert main(["check", "--json", str(tmp_path / "rows.json")]) == 130
    assert "2 of 2 shipped samplers pass; stopped after 2 of 4 cases" in " ".join(capsys.readouterr().out.split())
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows["complete"] is False
    assert [row["name"] for row in rows["samplers"]] == ["particle_gibbs", "gibbs"]


def test_programs_are_dropped_between_cases(checked, monkeypatch):
    # Before: `probinf check --planted` ran out of memory maps and aborted after 9.5 minutes.
    dropped = []
    monkeypatch.setattr(_check, "release_programs", lambda: dropped.append(len(checked[0])))
    assert main(["check"]) == 0
    assert dropped == [1, 2, 3, 4]
