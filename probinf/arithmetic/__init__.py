"""Chained arithmetic with a small language model and process rewards of several qualities: a place to measure how
accuracy grows with inference-time compute, where every step and every answer can be checked exactly.
"""

from probinf.arithmetic._checker import ArithmeticReward, Checker, with_false_positives
from probinf.arithmetic._load import load_arithmetic, load_language_model, oracle, read_metadata
from probinf.arithmetic._quality import RewardQuality, prm_quality
from probinf.arithmetic._rollouts import Rollouts, roll_out
from probinf.arithmetic._task import (
    Problem,
    answer_of,
    draw_problem,
    fingerprint,
    is_correct,
    is_sound,
    prompt_of,
    render_problem,
    render_solution,
    right_answer,
    running_values,
)
from probinf.arithmetic._traces import Trace, draw_trace
from probinf.arithmetic._vocabulary import MAX_STEPS, MODULUS, OPERATIONS, SOLUTION_SLOTS, TOKENS_PER_STEP, VOCABULARY
from probinf.arithmetic._writers import ArithmeticModels, Graded, for_problem, grade, write_all

__all__ = [
    "MAX_STEPS",
    "MODULUS",
    "OPERATIONS",
    "SOLUTION_SLOTS",
    "TOKENS_PER_STEP",
    "VOCABULARY",
    "ArithmeticModels",
    "ArithmeticReward",
    "Checker",
    "Graded",
    "Problem",
    "RewardQuality",
    "Rollouts",
    "Trace",
    "answer_of",
    "draw_problem",
    "draw_trace",
    "fingerprint",
    "for_problem",
    "grade",
    "is_correct",
    "is_sound",
    "load_arithmetic",
    "load_language_model",
    "oracle",
    "prm_quality",
    "prompt_of",
    "read_metadata",
    "render_problem",
    "render_solution",
    "right_answer",
    "roll_out",
    "running_values",
    "with_false_positives",
    "write_all",
]
