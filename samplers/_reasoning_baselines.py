"""The baselines of reasoning: a pool of independent solutions, and a way to choose one of them.

Source: arXiv 2502.01618, section 5.1; rewards and votes as in Hugging Face's search-and-learn (utils/math.py).
"""

from __future__ import annotations

from probinf._measure import Measure
from probinf._primitives import Best, Choose, Majority
from probinf._sampler import Sampler
from probinf.lm import Reasoning
from probinf.samplers._answers import Answer
from probinf.samplers._reasoning_filter import Writer
from probinf.samplers._selection import FinalReward
from probinf.samplers._solution_pool import solution_pool
from probinf.samplers._weight_rules import Aggregate


def greedy(writer: Reasoning) -> Sampler:
    """Writes the most likely token every time; more lanes than one are copies.

    Law: () -> the point mass at the greedy solution (EXACT). Of equally likely tokens the first is written. For servers
    use `solution_pool` on a writer with temperature=0.
    """
    return solution_pool(writer.greedy())


def self_consistency(writer: Writer, answer: Answer) -> Sampler:
    """Takes the answer that most solutions give; the first of equals.

    Law: none claimed (HEURISTIC). `answer` maps a solution to an integer, negative where it has no answer.

    Source: Wang et al., arXiv 2203.11171.
    """
    return solution_pool(writer) >> Choose(Majority(answer, Measure()))


def reward_best_of_n(writer: Writer, aggregate: Aggregate = "last") -> Sampler:
    """Takes the solution with the best final reward; the first of equals.

    Law: none claimed (HEURISTIC). A solution without a reward loses, and makes the status INVALID.
    """
    return solution_pool(writer) >> Choose(Best(FinalReward(aggregate)))


def weighted_best_of_n(writer: Writer, answer: Answer, aggregate: Aggregate = "last") -> Sampler:
    """Takes the answer whose solutions have the largest sum of final rewards, and its first solution.

    Law: none claimed (HEURISTIC). `answer` maps a solution to an integer, negative where it has no answer. A solution
    without a reward has no vote, and makes the status INVALID.
    """
    return solution_pool(writer) >> Choose(Majority(answer, FinalReward(aggregate)))
