"""Micro-tasks: truth over whole domains, verifiers that never reject a right answer, and the recorded samples."""

import itertools
import string
from collections import Counter

import numpy as np
import pytest

from probinf.figures._micro_numbers import integer
from probinf.figures._micro_tasks import STRENGTHS, accepts, clean_answer, micro_tasks
from probinf.figures._micro_tasks_data import data_path, micro_task_samples

TASKS = micro_tasks()
NUMBERS = [task for task in TASKS if task.kind in ("sum", "difference", "product", "number")]
# Every string of up to two letters, the days, and what a JSON task may meet.
TEXTS = [
    *(
        "".join(letters)
        for n in range(3)
        for letters in itertools.product(string.ascii_lowercase + "AZ{", repeat=n)
    ),
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Noday",
    '{"city": "Rome", "year": 1950}', '{"city": "Rome", "year": "1950"}', '{"city": "Rome", "year": 2000}',
    '{"city": "Rome", "year": true}', '{"city": 3, "year": 1950}', '{"city": "Rome", "year": 1950, "more": 1}',
    '{"city": "Rome", "year": 1950', "[1950]", "null", "1950",
]  # fmt: skip


def right_answers(task, domain):
    return [answer for answer in domain if task.right(answer)]


def test_tasks_differ_and_fit_one_line():
    assert len({task.prompt for task in TASKS}) == len(TASKS) >= 40
    assert not any("\n" in task.question for task in TASKS)


def test_no_worked_example_gives_an_answer_away_where_one_answer_is_right():
    for task in TASKS:
        shown = [answer for _, answer in task.examples]
        assert not any(task.right(answer) for answer in shown), task.question


@pytest.mark.parametrize("task", NUMBERS, ids=lambda task: task.question)
def test_truth_of_numbers_over_their_whole_range(task):
    domain = [str(n) for n in range(-200, 1000)]
    right = [int(answer) for answer in right_answers(task, domain)]
    words = task.question.removeprefix("What is ").rstrip("?=. ")
    if task.kind != "number":
        a, sign, b = words.split()
        assert right == [{"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[sign]]
    else:
        low, high = (int(word) for word in words.split() if word.isdigit() and word not in ("5", "9"))
        keeps = {
            "square": lambda n: round(n**0.5) ** 2 == n,
            "multiple": lambda n: n / 5 == int(n / 5),
            "odd": lambda n: str(n)[-1] in "13579",
            "digits": lambda n: sum(map(int, str(n))) == 9,
        }
        test = next(test for name, test in keeps.items() if name in words)
        assert right == [n for n in range(low + 1, high) if test(n)]


def test_no_check_rejects_a_right_answer():
    domain = [*(str(n) for n in range(-200, 1000)), *TEXTS]
    for task in TASKS:
        for answer in right_answers(task, domain):
            assert all(accepts(task, answer, m) for m in range(1, 6)), (task.question, answer)


def test_truth_of_texts():
    by = {task.question: task for task in TASKS}
    word = by["Write a word of 5 letters that starts with b."]
    assert all(map(word.right, ("bread", "beach"))) and not any(map(word.right, ("break1", "Bread", "bear", "brchs")))
    json = next(task for task in TASKS if '"city"' in task.question)
    assert right_answers(json, TEXTS) == ['{"city": "Rome", "year": 1950}']
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    for task in (task for task in TASKS if task.kind == "day"):
        number, start = int(task.question.split()[3]), task.question.rstrip("?").split()[-1]
        assert right_answers(task, days) == [(days * 2)[days.index(start) + number]]
    for task in (task for task in TASKS if task.kind == "table"):
        rows = [row.split() for row in task.question.split(". ")[:-1]]
        second = sorted(rows, key=lambda row: int(row[2]))[-2][0]
        assert right_answers(task, [row[0] for row in rows]) == [second]
    letters = list(string.ascii_lowercase)
    for task in (task for task in TASKS if task.kind in ("last", "next")):
        end = task.question[-2]
        assert right_answers(task, letters) == [end if task.kind == "last" else chr(ord(end) + 1)]


def test_answers_are_cleaned_and_a_cut_off_one_is_never_right():
    assert clean_answer(" 85.\nQ: what") == "85" and clean_answer(" a b \n") == "a b" and clean_answer("\n") == ""
    assert clean_answer(" 85") == "85\u2026"
    assert integer("85\u2026") is None and integer("٣") is None and integer("-12") == -12
    for task in TASKS:
        assert not task.right(clean_answer("85")) and not task.right("")


def test_strength_outside_the_checks_is_refused():
    for strength in (0, 6):
        with pytest.raises(ValueError, match="strength must lie in 1 to 5"):
            accepts(TASKS[0], "1", strength)


def test_recorded_samples_are_whole_and_agree_with_the_tasks():
    found = micro_task_samples()
    assert found.answer.shape == (len(TASKS), 128) and found.strengths == STRENGTHS
    for i, task in enumerate(TASKS):
        texts = [found.answers[j] for j in found.answer[i]]
        # Distinct answers have distinct numbers, so that counts by either agree.
        assert sorted(Counter(texts).values()) == sorted(Counter(found.answer[i]).values())
        assert found.right[i].tolist() == [task.right(text) for text in texts]
        assert found.accepted[i, :, 2].tolist() == [accepts(task, text, 3) for text in texts]
        assert (found.length[i] >= 1).all() and (found.length[i] <= task.max_tokens).all()
    assert (found.log_prob <= 0).all() and np.isfinite(found.log_prob).all()
    # Right answers are never rejected, and a stronger verifier accepts a part of what a weaker one does.
    assert found.accepted[found.right].all()
    assert (np.diff(found.accepted.astype(int), axis=-1) <= 0).all()
    assert data_path().stat().st_size < 300_000


def test_recorded_tasks_are_neither_hopeless_nor_trivial():
    share = micro_task_samples().right.mean(1)
    assert ((share > 0.02) & (share < 0.6)).sum() >= 36


def test_files_that_are_absent_damaged_or_of_other_tasks_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="_micro_tasks_run makes it"):
        micro_task_samples(tmp_path / "none.npz")
    path = tmp_path / "broken.npz"
    path.write_bytes(data_path().read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a readable file"):
        micro_task_samples(path)
    with np.load(data_path()) as file:
        stored = {name: file[name] for name in file.files}
    np.savez(tmp_path / "other.npz", **stored | {"prompts": stored["prompts"][::-1]})
    with pytest.raises(ValueError, match="other prompts"):
        micro_task_samples(tmp_path / "other.npz")
    del stored["length"]
    np.savez(tmp_path / "part.npz", **stored)
    with pytest.raises(ValueError, match="lacks length"):
        micro_task_samples(tmp_path / "part.npz")
