"""Exact verifiers of text, and the potentials that guide particles towards what they accept."""

from probinf.verifiers._answer import Answer
from probinf.verifiers._distinct import count_distinct
from probinf.verifiers._json_object import JsonObject
from probinf.verifiers._parse import parse_verifier
from probinf.verifiers._potential import Accepted, TextPotential
from probinf.verifiers._tasks import Task, constraint_tasks
from probinf.verifiers._verifier import Verifier
from probinf.verifiers._word_count import WordCount
from probinf.verifiers._words import Words

__all__ = [
    "Accepted",
    "Answer",
    "JsonObject",
    "Task",
    "TextPotential",
    "Verifier",
    "WordCount",
    "Words",
    "constraint_tasks",
    "count_distinct",
    "parse_verifier",
]
