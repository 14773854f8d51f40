"""The benchmark: sizes, limits, and answers that are right."""

from collections import Counter

import pytest

from probinf.verifiers import Answer, JsonObject, WordCount, Words, constraint_tasks, count_distinct

GOOD = {
    "words": lambda v: " ".join(v.words),
    "count": lambda v: " ".join(["word"] * v.count),
    "json": lambda v: "{" + ", ".join(f'"{key}": 1' for key in v.keys) + "}",
    "answer": lambda v: f"It is {v.intermediate[0]}. The answer is {v.value}.",
}


@pytest.mark.parametrize(("budget", "least"), [("smoke", 3), ("paper", 8)])
def test_each_kind_has_enough_prompts(budget, least):
    tasks = constraint_tasks(budget)
    counts = Counter(task.kind for task in tasks)
    assert set(counts) == {"words", "count", "json", "answer"} and min(counts.values()) >= least
    assert len({task.name for task in tasks}) == len(tasks) == len({task.prompt for task in tasks})


def test_smoke_is_part_of_paper():
    paper = {task.name: task for task in constraint_tasks("paper")}
    assert all(paper[task.name] == task for task in constraint_tasks("smoke"))


@pytest.mark.parametrize("task", constraint_tasks("paper"), ids=lambda task: task.name)
def test_each_task_can_be_solved_within_its_limits(task):
    kind = {"words": Words, "count": WordCount, "json": JsonObject, "answer": Answer}[task.kind]
    assert isinstance(task.verifier, kind)
    text = GOOD[task.kind](task.verifier)
    assert task.verifier.accepts(text) and len(text.split()) < task.max_new_tokens
    assert task.stop is None or task.stop not in text
    assert task.chat == (task.kind != "answer")
    if isinstance(task.verifier, (Words, JsonObject)):
        required = task.verifier.words if isinstance(task.verifier, Words) else task.verifier.keys
        assert all(word in task.prompt for word in required)


def test_worked_examples_are_right_and_read_by_the_verifier():
    prompt = next(task for task in constraint_tasks("smoke") if task.kind == "answer").prompt
    solutions = [block.partition("A:")[2] for block in prompt.split("\n\n")[:-1]]
    assert [Answer(value).accepts(text) for value, text in zip((7, 12, 15), solutions, strict=True)] == [True] * 3


def test_unknown_budget_is_refused():
    with pytest.raises(ValueError, match='"smoke" or "paper"'):
        constraint_tasks("huge")


def test_count_distinct_sets_case_space_and_outer_punctuation_aside():
    texts = ["The dog.", " the  DOG!", "the\ndog", "the dogs", '{"a": -1}', '{"a": 1}']
    assert count_distinct(texts) == 4 == count_distinct(reversed(texts + texts))
    assert count_distinct([]) == 0
