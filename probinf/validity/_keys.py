"""Finds draws that share a key: their outcomes are not independent, though enumeration takes them to be."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np

from probinf.validity._errors import KeyReuseError
from probinf.validity._program import Program, Runs
from probinf.validity._replay import KeyFork, KeyUse

# Worlds on which the keys are compared: the most probable ones, and as many spread over all possible ones.
_PROBABLE = 128
_SPREAD = 128

# Two slots with one key, and the sentence that says so.
Pairs = dict[tuple[int, int], str]


def check_key_reuse(program: Program, worlds: np.ndarray, log_prob: np.ndarray) -> None:
    """Compares the keys of all draws, on up to 256 possible worlds.

    Two draws that share a key, or of which one uses a key that the other's was split or folded from, are
    reported where both matter to one world: changing either outcome alone changes an output or the law of
    another draw. Branches that exclude one another may share a key (under vmap both run, one is dropped).

    Raises: KeyReuseError, naming both lines.
    """
    probable = np.argsort(-log_prob, kind="stable")[:_PROBABLE]
    spread = np.linspace(0, len(worlds) - 1, min(_SPREAD, len(worlds))).astype(np.int64)
    outcomes = program.outcomes(worlds[np.union1d(probable, spread)])
    for start in range(0, len(outcomes), program.rows):
        _check_batch(program, outcomes[start : start + program.rows])


def _check_batch(program: Program, outcomes: np.ndarray) -> None:
    runs = program.run(outcomes)
    seen: dict[bytes, Pairs] = {}
    pairs = [_pairs_of_world(runs.records, row, seen) for row in range(len(outcomes))]
    suspects = sorted({slot for found in pairs for pair in found for slot in pair})
    matters = {slot: _matters(program, outcomes, runs, slot) for slot in suspects}
    for row, found in enumerate(pairs):
        for (first, second), sentence in found.items():
            if matters[first][row] and matters[second][row]:
                raise KeyReuseError(sentence)


def _pairs_of_world(records: Any, row: int, seen: dict[bytes, Pairs]) -> Pairs:
    """Slots of one world whose keys are equal or related; worlds with the same keys are done once."""
    arrays = [np.ascontiguousarray(x[row]) for record in records for x in _arrays(record)]
    name = b"".join(x.tobytes() for x in arrays)
    if name not in seen:
        seen[name] = _pairs([record for record in records], row)
    return seen[name]


def _arrays(record: KeyUse | KeyFork) -> tuple:
    if isinstance(record, KeyUse):
        return record.keys, record.active
    return record.parents, record.children, record.active


def _pairs(records: list[KeyUse | KeyFork], row: int) -> Pairs:
    users: dict[bytes, list[tuple[tuple[int, ...], str]]] = {}
    parents: dict[bytes, bytes] = {}
    for record in records:
        active = np.asarray(record.active[row]).reshape(-1)
        if not active.size:
            # In a loop of no turns, such as that of a filter on one row.
            continue
        if isinstance(record, KeyUse):
            keys = np.asarray(record.keys[row]).reshape(active.size, -1)
            slots = np.asarray(record.slots[row]).reshape(active.size, -1)
            for i in np.flatnonzero(active):
                users.setdefault(keys[i].tobytes(), []).append((tuple(slots[i].tolist()), record.source))
        else:
            above = np.asarray(record.parents[row]).reshape(active.size, -1)
            below = np.asarray(record.children[row]).reshape(active.size, -1, above.shape[-1])
            for i in np.flatnonzero(active):
                parents |= {child.tobytes(): above[i].tobytes() for child in below[i]}
    found: Pairs = {}
    for key, uses in users.items():
        for first, second in combinations(uses, 2):
            _add(found, first, second, "one key: split it first")
        ancestor, passed = parents.get(key), {key}
        while ancestor is not None and ancestor not in passed:
            for first, second in product(users.get(ancestor, ()), uses):
                _add(found, first, second, "a key and one made from it: draw only with the parts of a split")
            passed.add(ancestor)
            ancestor = parents.get(ancestor)
    return found


def _add(found: Pairs, first: tuple, second: tuple, what: str) -> None:
    where = f"at {first[1]} and at {second[1]}" if first[1] != second[1] else f"at {first[1]}"
    sentence = f"two draws ({where}) use {what}"
    for pair in product(first[0], second[0]):
        found.setdefault(pair, sentence)


def _matters(program: Program, outcomes: np.ndarray, base: Runs, slot: int) -> np.ndarray:
    """For each world, whether another outcome of the slot changes an output or the law of another draw."""
    result = np.zeros(len(outcomes), dtype=bool)
    others = np.arange(outcomes.shape[1]) != slot
    for shift in range(1, program.arities[slot]):
        changed = outcomes.copy()
        changed[:, slot] = (changed[:, slot] + shift) % program.arities[slot]
        runs = program.run(changed)
        differs = differing_rows(base.log_weights[:, others], runs.log_weights[:, others])
        for before, after in zip(base.outputs, runs.outputs, strict=True):
            differs |= differing_rows(before, after)
        result |= differs & (runs.log_weights[:, slot] > -np.inf)
    return result


def differing_rows(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Row by row, whether two batches differ beyond rounding."""
    same = np.isclose(before, after, rtol=1e-9, atol=1e-12, equal_nan=True).reshape(len(before), -1)
    return ~np.all(same, axis=1)
