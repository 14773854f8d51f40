"""The tokens of chained arithmetic: one for each number, one for each operation, and four marks."""

from __future__ import annotations

MODULUS = 19  # prime, so that a product never forgets its factors
OPERATIONS = ("+", "-", "*", "~", "#")  # a + b, a - b, a * b, b - a, 2 a + b, all modulo 19
FIRST_OPERATION = MODULUS
STEP_END, QUESTION, ANSWER, END = range(MODULUS + len(OPERATIONS), MODULUS + len(OPERATIONS) + 4)
VOCABULARY = (*map(str, range(MODULUS)), *OPERATIONS, ";", "Q", "A", "<eos>")

FEWEST, MOST = 4, 8  # operations of a problem
TOKENS_PER_STEP = 4  # operation, operand, result, end of step
PROMPT_SLOTS = 2 * MOST + 3  # question mark, operation and operand in turn, first number, end of step
SOLUTION_SLOTS = TOKENS_PER_STEP * MOST + 3  # the steps, then answer mark, number, end
MAX_STEPS = MOST + 1
