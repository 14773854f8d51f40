"""A small benchmark of constrained generation for small language models."""

from dataclasses import dataclass
from typing import Literal

from probinf.verifiers._answer import Answer
from probinf.verifiers._json_object import JsonObject
from probinf.verifiers._verifier import Verifier
from probinf.verifiers._word_count import WordCount
from probinf.verifiers._word_problems import EXAMPLES, PROBLEMS
from probinf.verifiers._words import Words

Kind = Literal["words", "count", "json", "answer"]

_WORDS = (
    (("dog", "river", "moon"), 12),
    (("robot", "garden", "letter", "music"), 20),
    (("lamp", "forest", "song"), 12),
    (("bread", "winter", "train", "friend"), 20),
    (("boat", "storm", "island"), 12),
    (("teacher", "window", "bird", "story"), 20),
    (("horse", "bridge", "night"), 12),
    (("doctor", "coffee", "street", "rain"), 20),
)
_TOPICS = ("a cat", "the sea", "a school", "the sun", "a city", "a tree", "winter", "music", "a farm")
_RECORDS = (
    (("name", "age"), "Maria is 31 years old."),
    (("city", "country"), "Lyon is a city in France."),
    (("item", "price"), "The green jacket costs 45 dollars."),
    (("title", "author"), "The book The Long Road was written by Peter Hill."),
    (("animal", "color"), "A black horse stood in the field."),
    (("name", "job"), "Daniel works as a nurse."),
    (("day", "time"), "The meeting is on Tuesday at 10 o'clock."),
    (("team", "score"), "The Blue Stars scored 3 goals."),
)
_SMOKE = 3


@dataclass(frozen=True)
class Task:
    """One prompt, the verifier of its answers and the limits of generation."""

    name: str  # unique within the benchmark
    kind: Kind
    prompt: str
    chat: bool  # True: the user's message for a chat template; False: raw text to continue
    verifier: Verifier
    max_new_tokens: int
    stop: str | None  # the text is finished once it contains this string


def _words_tasks() -> list[Task]:
    verifiers = [Words(words, max_words=limit) for words, limit in _WORDS]
    return [
        Task(f"words/{'-'.join(verifier.words)}", "words", verifier.instruction(), True, verifier, 48, "\n")
        for verifier in verifiers
    ]


def _count_tasks() -> list[Task]:
    verifier = WordCount(8)
    return [
        Task(
            f"count/{topic.split()[-1]}",
            "count",
            f"Write one sentence about {topic} with exactly {verifier.count} words.",
            True,
            verifier,
            32,
            "\n",
        )
        for topic in _TOPICS
    ]


def _json_tasks() -> list[Task]:
    verifiers = [(JsonObject(keys), sentence) for keys, sentence in _RECORDS]
    return [
        Task(
            f"json/{'-'.join(verifier.keys)}",
            "json",
            f"{verifier.instruction()}\nSentence: {sentence}",
            True,
            verifier,
            64,
            None,
        )
        for verifier, sentence in verifiers
    ]


def _answer_tasks() -> list[Task]:
    return [
        Task(
            f"answer/{index}",
            "answer",
            f"{EXAMPLES}Q: {problem.question}\nA:",
            False,
            Answer(problem.answer, intermediate=(problem.first_step,)),
            64,
            "\n",
        )
        for index, problem in enumerate(PROBLEMS)
    ]


def constraint_tasks(budget: str) -> list[Task]:
    """Prompts of four kinds with exact verifiers: given words, word count, JSON object, word problem.

    "smoke" has three prompts of each kind, "paper" all of them (eight or more of each kind).

    Raises: ValueError for another budget.
    """
    if budget not in ("smoke", "paper"):
        raise ValueError(f'budget must be "smoke" or "paper", not {budget!r}.')
    kinds = (_words_tasks(), _count_tasks(), _json_tasks(), _answer_tasks())
    return [task for tasks in kinds for task in (tasks[:_SMOKE] if budget == "smoke" else tasks)]
