"""Reasoning on servers: its law where rounds fail, what failures cost, and how a broken run goes on."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import numpy as np
import pytest

from probinf import MeaningError, Measure, Status, sample
from probinf.samplers import Odds, Product, ValueRatio, reasoning_filter
from probinf.servers import (
    Completion,
    Failure,
    RemoteReasoning,
    RemoteSolution,
    RemoteStep,
    ServerError,
    TextReward,
    TextRewardFunction,
    lane_seeds,
)

STEPS = 3
# The next step by the one before: "a", "b", or the end of the text.
TABLE = {"": (0.5, 0.3, 0.2), "a": (0.2, 0.5, 0.3), "b": (0.6, 0.1, 0.3)}
REWARD = {"a": 0.4, "b": 0.9, "": 0.7}


def reward_of(prompt, response):
    del prompt
    return REWARD[response[-1:]] * (0.8 if "ab" in response else 1.0)


class PathClient:
    """Each lane draws along a path of its own, which its text begins with: `schedule.digits|`.

    The schedule says which of the lane's requests fail ("1"), or that one fails whenever it would have written an "a"
    ("x"), which uses up the draw.
    """

    def __init__(self):
        self.requests, self.draws = {}, {}

    def complete(self, prompts, *, max_tokens, stop=(), temperature=1.0, seed=None):
        return [self._one(*prompt[1:].partition("|")[::2]) for prompt in prompts]

    def _one(self, label, text):
        schedule, digits = label.split(".")
        at, drawn = self.requests.get(label, 0), self.draws.get(label, 0)
        self.requests[label] = at + 1
        if schedule[at : at + 1] == "1":
            return Failure("down", 1)
        self.draws[label] = drawn + 1
        step = ("a", "b", "")[int(digits[drawn])]
        if schedule[at : at + 1] == "x" and step == "a":
            return Failure("no answer in time", 1)
        return Completion(step, None, "length" if step else "end", 0.0, 1)


def probability(label):
    """Of a path: what it draws and uses has the table's probability, other digits 1/3 each."""
    schedule, digits = label.split(".")
    p, text, done, attempt = 1.0, "", False, 0
    for digit in map(int, digits):
        if done or len(text) == STEPS:
            p /= 3
            continue
        p *= TABLE[text[-1:]][digit]
        while schedule[attempt : attempt + 1] == "1":
            attempt += 1
        late = schedule[attempt : attempt + 1] == "x" and digit == 0
        attempt += 1
        if not late:
            text, done = text + "ab"[digit : digit + 1], digit == 2
    return p


class TableClient:
    """Writes one step of the table's law; one request in six fails."""

    def __init__(self, failing=1 / 6):
        self.rng, self.failing, self.asked, self.seeds = np.random.default_rng(7), failing, [], []

    def complete(self, prompts, *, max_tokens, stop=(), temperature=1.0, seed=None):
        self.asked.append(list(prompts))
        self.seeds.append(seed)
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt):
        drawn = self.rng.choice(3, p=TABLE[prompt[1:][-1:]])
        if self.rng.random() < self.failing:
            return Failure("down", 1)
        step = ("a", "b", "")[drawn]
        return Completion(step, None, "length" if step else "end", 0.0, 1)


def writer(client, **knobs):
    knobs = {"max_steps": STEPS, "max_tokens_per_step": 1, "reward": TextRewardFunction(reward_of), **knobs}
    return RemoteReasoning(client, ":", **knobs)


def target(factor):
    """All texts by brute force, with p(x) times the factor of their rewards."""
    found = {}
    for length in range(STEPS + 1):
        for steps in itertools.product("ab", repeat=length):
            text, ended = "".join(steps), length < STEPS
            p = math.prod(TABLE[before]["ab".index(s)] for before, s in zip(("", *steps), steps, strict=False))
            prefixes = [text[: i + 1] for i in range(length)] + ([text] if ended else [])
            p *= TABLE[text[-1:]][2] if ended else 1.0
            found[text] = p * factor(np.array([reward_of(":", prefix) for prefix in prefixes]))
    return found


SCHEDULES = ("000", "100", "010", "101", "110", "x00")


def masses(steps, rule):
    """For each schedule the expected mass on each text, over all paths: one lane a path, alone on its island."""
    paths = ["".join(digits) for digits in itertools.product("012", repeat=STEPS + 1)]
    labels = [f"{schedule}.{path}" for schedule in SCHEDULES for path in paths]
    values = [RemoteSolution(text=label + "|") for label in labels]
    run = reasoning_filter(steps, rule, islands=len(labels))
    result = sample(run, jax.random.key(0), len(labels), values=values)
    found = {schedule: dict.fromkeys(target(np.prod), 0.0) for schedule in SCHEDULES}
    for value, log_weight in zip(result.particles.values, np.asarray(result.particles.log_weights), strict=True):
        label, _, text = value.text.partition("|")
        if value.finished:
            found[label[:3]][text] += probability(label) * math.exp(log_weight)
    return found


def labelled(prompt, response):
    return reward_of(prompt, response.partition("|")[2])


def error(found, factor):
    """The largest deviation of an expected mass from the target."""
    expected = target(factor)
    return max(abs(found[text] - mass) for text, mass in expected.items())


RULES = {
    "Product": (Product(), np.prod),
    "Odds": (Odds(), lambda r: np.prod(r / (1 - r))),
    "ValueRatio": (ValueRatio(), lambda r: r[-1]),
}


@pytest.mark.parametrize("name", RULES)
def test_failed_rounds_leave_the_law_alone(name, x64):
    """All draws are listed, on islands of one lane each."""
    rule, factor = RULES[name]
    found = masses(writer(PathClient(), reward=TextRewardFunction(labelled)), rule)
    assert max(error(found[schedule], factor) for schedule in SCHEDULES[:-1]) < 1e-12
    # Planted, as the documentation warns: requests that fail because of what they would have written.
    assert error(found["x00"], factor) > 0.03


class CountsAgain(RemoteStep):
    """Planted: a lane that failed is weighed by its last reward once more."""

    def sample_lanes(self, key, values, n):
        after = super().sample_lanes(key, values, n)
        again = lambda old, new: new.failures > old.failures and bool(new.log_odds)  # noqa: E731
        return [dataclasses.replace(b, advanced=b.advanced or again(a, b)) for a, b in zip(values, after, strict=True)]


class CountingAgain:
    """A writer with that step."""

    def __init__(self, right):
        self.right, self.max_steps, self.start = right, right.max_steps, right.start

    def step(self):
        return CountsAgain(self.right)


def test_planted_a_failed_lane_that_is_weighed_again_is_caught(x64):
    reward = TextRewardFunction(labelled)
    found = masses(CountingAgain(writer(PathClient(), reward=reward)), Product())
    errors = {schedule: error(found[schedule], np.prod) for schedule in SCHEDULES}
    assert errors["000"] < 1e-12 and errors["010"] > 0.01


def test_resampled_lanes_have_the_law_though_rounds_fail():
    """Islands of two lanes: each gives a text a mass in [0, 1] whose expectation, and hence variance, is at most the
    target. Bernstein's inequality and a union over 15 texts: a false alarm has probability below 1e-6.
    """
    islands, client = 300, TableClient()
    result = sample(reasoning_filter(writer(client, spare_rounds=9), islands=islands), jax.random.key(1), 2 * islands)
    assert result.status is Status.OK and all(value.finished for value in result.particles.values)
    expected = target(np.prod)
    found = dict.fromkeys(expected, 0.0)
    for value, log_weight in zip(result.particles.values, np.asarray(result.particles.log_weights), strict=True):
        found[value.text] += math.exp(log_weight) / (2 * islands)
    level = math.log(2 * len(expected) / 1e-6)
    for text, mass in expected.items():
        assert abs(found[text] - mass) < math.sqrt(2 * mass * level / islands) + 2 * level / (3 * islands)


def test_lanes_of_one_round_share_one_call_and_keep_their_seeds_when_more_join():
    client = TableClient(failing=0)
    sample(reasoning_filter(writer(client)), jax.random.key(0), 2)
    assert len(client.asked[0]) == 2 and len(client.asked) <= STEPS
    assert len(set(client.seeds[0])) == 2 and all(0 <= seed < 2**31 for seed in client.seeds[0])
    assert lane_seeds(jax.random.key(3), 4) == lane_seeds(jax.random.key(3), 9)[:4]
    again = TableClient(failing=0)
    sample(reasoning_filter(writer(again)), jax.random.key(0), 2)
    assert again.seeds == client.seeds and again.asked == client.asked
    unseeded = TableClient(failing=0)
    sample(reasoning_filter(writer(unseeded, seeded=False)), jax.random.key(0), 2)
    assert set(unseeded.seeds) == {None}


class Script:
    """Gives the scripted steps, one a call for all lanes; then it is down."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def complete(self, prompts, **options):
        self.asked.append(list(prompts))
        row = self.replies.pop(0) if self.replies else [None] * len(prompts)
        assert len(row) == len(prompts)
        return [Failure("down", 1) if reply is None else reply for reply in row]


def step(text, *, stop=None, reason: Any = "length"):
    return Completion(text, stop, reason, -1.0, 2)


def rounds(client, n, count, **knobs):
    """The lanes after each of so many rounds."""
    steps = writer(client, reward=TextRewardFunction(lambda prompt, response: 0.5), **knobs)
    lanes, seen = steps.start().sample_lanes(jax.random.key(0), (), n), []
    for _ in range(count):
        lanes = steps.step().sample_lanes(jax.random.key(0), lanes, n)
        seen.append(lanes)
    return seen


def test_when_a_solution_is_finished():
    client = Script([step("x #1", reason="length"), step("y", reason="end"), step("z")], [step("w")], [step("v")])
    first, second, third = rounds(client, 3, 3, max_steps=3, finished="#")
    assert [lane.finished for lane in first] == [True, True, False]
    assert [lane.finished for lane in third] == [True] * 3
    assert [lane.text for lane in third] == ["x #1", "y", "zwv"] and client.asked == [[":"] * 3, [":z"], [":zw"]]
    assert [lane.advanced for lane in second] == [False, False, True]
    assert third[2].tokens == 6 and third[2].log_prob == -3.0 and third[2].log_odds == (0.0,) * 3


def test_two_empty_steps_in_a_row_finish_a_solution():
    empty, full = step("\n\n", stop="\n\n", reason="stop"), step("a\n\n", stop="\n\n", reason="stop")
    client = Script([empty, empty], [empty, full], [empty], [full])
    after = rounds(client, 2, 4, max_steps=9)
    assert [lane.finished for lane in after[0]] == [False, False]
    assert [lane.finished for lane in after[1]] == [True, False]
    assert after[3][1].steps == 4 and not after[3][1].finished and client.asked[2] == [":\n\na\n\n"]


def test_a_lane_that_failed_stays_and_tries_again():
    client = Script([step("a"), None], [step("b"), step("c")])
    first, second = rounds(client, 2, 2)
    assert first[1] == RemoteSolution(failures=1) and first[0].advanced
    assert [lane.text for lane in second] == ["ab", "c"] and client.asked == [[":", ":"], [":a", ":"]]


class Flaky(TextReward):
    """A reward whose calls fail by script; what it was asked is kept."""

    script: list
    asked: list

    def log_odds(self, prompt, responses):
        self.asked.append(list(responses))
        if not self.script:
            raise RuntimeError("out of memory")
        return [Failure("no reward", 1) if score is None else score for score in self.script.pop(0)]


def test_a_step_without_reward_is_kept_and_not_written_again():
    reward = Flaky([[0.5, None], [1.0, 2.0]], [])
    client = Script([step("a"), step("b")], [step("c")])
    steps = writer(client, reward=reward)
    lanes = steps.start().sample_lanes(jax.random.key(0), (), 2)
    lanes = steps.step().sample_lanes(jax.random.key(0), lanes, 2)
    assert lanes[1].draft == step("b") and lanes[1].failures == 1 and not lanes[1].advanced
    lanes = steps.step().sample_lanes(jax.random.key(0), lanes, 2)
    assert client.asked == [[":", ":"], [":a"]] and sorted(reward.asked[1]) == ["ac", "b"]
    assert [lane.text for lane in lanes] == ["ac", "b"] and sorted(lane.log_odds[-1] for lane in lanes) == [1.0, 2.0]
    # A reward that raises loses nothing either.
    client.replies.append([step("d"), step("e")])
    with pytest.raises(ServerError, match="the reward raised RuntimeError: out of memory") as broken:
        steps.step().sample_lanes(jax.random.key(0), lanes, 2)
    assert [lane.draft.text for lane in broken.value.values] == ["d", "e"]


def test_a_run_goes_on_where_its_server_broke_off():
    """The second run has the law of the rest: steps that were paid for are weighed, and not asked for again."""
    client = Script([step("a"), step("b")])
    steps = writer(client, spare_rounds=1, max_steps=2)
    with pytest.raises(ServerError, match="2 solutions got no step in 2 rounds: down") as broken:
        sample(reasoning_filter(steps), jax.random.key(0), 2)
    assert "sample(..., values=error.values)" in str(broken.value)
    values = broken.value.values
    assert len(client.asked) == 3 and [value.steps for value in values] == [1, 1]
    client.replies.append([step("a", reason="end"), step("b")])
    result = sample(reasoning_filter(steps), jax.random.key(1), 2, values=values)
    assert all(value.finished and value.steps == 2 for value in result.particles.values)
    assert len(client.asked) == 4


def test_a_round_that_was_broken_off_is_completed_with_its_weights():
    client = Script([step("a"), None])
    steps = writer(client, spare_rounds=0, max_steps=2)
    with pytest.raises(ServerError) as broken:
        sample(reasoning_filter(steps), jax.random.key(0), 2)
    assert [value.uncounted for value in broken.value.values] == [True, False]
    client.replies += [[step("b")], [step("a"), step("a")]]
    result = sample(reasoning_filter(steps), jax.random.key(0), 2, values=broken.value.values)
    assert [len(prompts) for prompts in client.asked] == [2, 1, 2] and client.asked[1] == [":"]
    assert all(value.steps == 2 and value.finished for value in result.particles.values)
    assert float(result.particles.log_evidence) == pytest.approx(math.log((REWARD["a"] + REWARD["b"]) / 2))


@pytest.mark.parametrize("score", [math.nan, 1.5, -0.1])
def test_a_score_that_is_no_probability_kills_its_lane_and_is_told(score):
    client = Script([step("a"), step("b")])
    reward = TextRewardFunction(lambda prompt, response: score if response == "a" else 0.5)
    result = sample(reasoning_filter(writer(client, reward=reward, max_steps=1)), jax.random.key(0), 2)
    assert result.status is Status.INVALID
    np.testing.assert_allclose(np.exp(result.particles.log_weights), [0.0, 0.5], rtol=1e-6)
    assert [value.text for value in result.particles.values] == ["a", "b"]


def test_mistakes_are_told_when_a_problem_is_built():
    client, reward = TableClient(), TextRewardFunction(reward_of)
    good: dict[str, Any] = {"max_steps": 2, "max_tokens_per_step": 1}
    knobs: list[dict[str, Any]] = [
        {"max_steps": 0},
        {"max_tokens_per_step": 0},
        {"spare_rounds": -1},
        {"temperature": -1.0},
    ]
    for bad in knobs:
        with pytest.raises(ValueError, match=next(iter(bad))):
            RemoteReasoning(client, ":", reward, **{**good, **bad})
    knobs = [{"step_end": ""}, {"finished": ""}]
    for bad in knobs:
        with pytest.raises(ValueError, match="must not be empty"):
            RemoteReasoning(client, ":", reward, **good, **bad)
    steps = RemoteReasoning(client, ":", reward, **good)
    with pytest.raises(TypeError, match="follows its start"):
        steps.step().sample_lanes(jax.random.key(0), [1, 2], 2)
    with pytest.raises(MeaningError, match="no density"):
        steps.step().log_density(RemoteSolution())
    with pytest.raises(MeaningError, match="retraced"):
        steps.step().retrace_lanes(jax.random.key(0), [RemoteSolution()], 1, RemoteSolution())


def test_meaning_names_the_parts():
    assert reasoning_filter(writer(TableClient())).meaning(Measure()).name.startswith("prompt * step")
