"""A writer of texts of a few tokens, and what searches make of it, counted out in plain Python.

Nothing here uses the samplers: texts and their probabilities come from the table of logits, and each search is a
recursion over clouds, tuples of texts in the order of their lanes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinf.lm import Generation, Reasoning, RewardFunction, Solutions, TableLM
from probinf.validity import FiniteMeasure

Text = tuple[int, ...]
Law = dict[Any, float]

# Multiples of 1/8, which float32 holds exactly.
_LOGITS = ((0.125, 0.5, -0.25), (0.375, 0.25, 0.5), (0.0, 0.0, 0.0))
# By the number of steps and the last token: neither order nor minimum is the same for all texts.
_REWARDS = ((0.625, 0.25, 0.5), (0.4375, 0.75, 0.125), (0.5, 0.25, 0.875))
# So far apart that two lanes may be worth less than 4/3.
EXTREME = ((0.03125, 0.25, 0.9375), (0.25, 0.75, 0.5), (0.5, 0.25, 0.875))
_ZERO_IN_TEXT = 0.75
# What a text answers, by its last token.
_ANSWERS = (4, 7, 4)


class SearchModel(eqx.Module):
    """One token a step, at most `steps` of them; the last token of the vocabulary ends a text."""

    vocabulary: int = eqx.field(static=True, default=3)
    steps: int = eqx.field(static=True, default=2)
    rewards: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=_REWARDS)

    def writer(self) -> Reasoning:
        """The writer, on the device."""
        v = self.vocabulary
        lm = TableLM(table=jnp.array([row[:v] for row in _LOGITS[:v]]), stop_tokens=(v - 1,))
        reward = RewardFunction(TextReward(jnp.array(self.rewards)))
        return Reasoning(lm, [0], reward, max_steps=self.steps, tokens_per_step=1)

    def finished(self, text: Text) -> bool:
        """Whether nothing follows."""
        return len(text) == self.steps or (len(text) > 0 and text[-1] == self.vocabulary - 1)

    def next(self, text: Text) -> dict[Text, float]:
        """The text one step later, with its probability."""
        if self.finished(text):
            return {text: 1.0}
        p = np.exp(_LOGITS[text[-1] if text else 0][: self.vocabulary])
        return {(*text, token): float(x) for token, x in enumerate(p / p.sum())}

    def reward(self, text: Text) -> float:
        """The reward after the text's last step."""
        return self.rewards[len(text) - 1][text[-1]] * (_ZERO_IN_TEXT if 0 in text else 1.0)

    def trace(self, text: Text) -> np.ndarray:
        """The rewards of all its steps."""
        return np.array([self.reward(text[:t]) for t in range(1, len(text) + 1)])

    def texts(self) -> dict[Text, float]:
        """All finished texts with their probabilities."""
        return self.grown({((),): 1.0}, lambda t, cloud: {cloud: 1.0}, flat=True)

    def grown(self, clouds: Law, between: Callable[[int, Any], Law], *, flat: bool = False) -> Law:
        """The law of the clouds after all rounds: a step in every lane, with `between(t, cloud)` between two rounds."""
        for t in range(self.steps):
            clouds = clouds if t == 0 else mixed(clouds, lambda cloud, t=t: between(t, cloud))
            clouds = mixed(clouds, self._written)
        return {cloud[0]: p for cloud, p in clouds.items()} if flat else clouds

    def _written(self, cloud: tuple[Text, ...]) -> Law:
        lanes = itertools.product(*(self.next(text).items() for text in cloud))
        return {tuple(text for text, _ in row): float(np.prod([p for _, p in row])) for row in lanes}

    def target(self, factor: Callable[[np.ndarray], float]) -> FiniteMeasure:
        """The measure p_LM(x) factor(rewards)."""
        return self.measure({text: p * factor(self.trace(text)) for text, p in self.texts().items()})

    def pool(self, n: int) -> Law:
        """The law of n independent texts."""
        return self.grown({((),) * n: 1.0}, lambda t, cloud: {cloud: 1.0})

    def pruned(self, n: int, width: int, island: int) -> Law:
        """The law of the clouds of a search that keeps the best of each island, `width` copies of each."""

        def between(t: int, cloud: tuple[Text, ...]) -> Law:
            after: list[Text] = []
            for first in range(0, n, island):
                lanes = cloud[first : first + island]
                best = sorted(lanes, key=self.reward, reverse=True)[: island // width]
                alive = not all(map(self.finished, lanes))
                after += [text for text in best for _ in range(width)] if alive else lanes
            return {tuple(after): 1.0}

        return self.grown({((),) * n: 1.0}, between)

    def chosen(self, clouds: Law, choose: Callable[[tuple[Text, ...]], int]) -> FiniteMeasure:
        """The law of the text that is chosen from a cloud."""
        law: Law = defaultdict(float)
        for cloud, p in clouds.items():
            law[cloud[choose(cloud)]] += p
        return self.measure(law)

    def average(self, clouds: Law) -> FiniteMeasure:
        """The law of a lane taken at random."""
        law: Law = defaultdict(float)
        for cloud, p in clouds.items():
            for text in cloud:
                law[text] += p / len(cloud)
        return self.measure(law)

    def measure(self, law: Mapping[Text, float]) -> FiniteMeasure:
        """A law of texts as `written` shows them."""
        tokens = np.zeros((len(law), self.steps), np.int32)
        for row, text in zip(tokens, law, strict=True):
            row[: len(text)] = text
        lengths = np.array([len(text) for text in law], np.int32)
        return FiniteMeasure((tokens, lengths), np.log(list(law.values())))


class TextReward(eqx.Module):
    """The reward of `SearchModel.reward`, on the device."""

    table: Float[Array, "lengths vocabulary"]

    def __call__(self, x: Generation) -> Float[Array, ""]:
        """The reward of one text."""
        zeros = jnp.any((x.tokens == 0) & (jnp.arange(x.tokens.shape[0]) < x.length))
        return self.table[x.length - 1, x.tokens[x.length - 1]] * jnp.where(zeros, _ZERO_IN_TEXT, 1.0)


def mixed(clouds: Law, kernel: Callable[[Any], Law]) -> Law:
    """The law of what a kernel makes of a random cloud."""
    after: Law = defaultdict(float)
    for cloud, p in clouds.items():
        for image, q in kernel(cloud).items():
            after[image] += p * q
    return dict(after)


def written(x: Solutions) -> tuple[Int[Array, " slots"], Int[Array, ""]]:
    """The tokens and the length of a text."""
    return x.generation.tokens, x.generation.length


def answer(x: Solutions) -> Int[Array, ""]:
    """What a text answers: its last token says it, and a text of one token has no answer."""
    last = x.generation.tokens[x.generation.length - 1]
    return jnp.where(x.generation.length > 1, jnp.array(list(_ANSWERS))[last], -1)


def answer_of(text: Text) -> int:
    """The same in Python."""
    return _ANSWERS[text[-1]] if len(text) > 1 else -1


def best(score: Callable[[Text], float]) -> Callable[[tuple[Text, ...]], int]:
    """The first lane of the largest score."""
    return lambda cloud: max(range(len(cloud)), key=lambda i: (score(cloud[i]), -i))


def voted(vote: Callable[[Text], float]) -> Callable[[tuple[Text, ...]], int]:
    """The first lane of the answer with the most votes; without an answer only where nobody has one."""

    def choose(cloud: tuple[Text, ...]) -> int:
        votes: dict[int, float] = defaultdict(float)
        for text in cloud:
            votes[answer_of(text)] += vote(text)
        if len(votes) > 1:
            votes.pop(-1, None)
        top = max(votes.values())
        return next(i for i, text in enumerate(cloud) if votes.get(answer_of(text)) == top)

    return choose
