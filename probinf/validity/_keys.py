"""Follows the randomness of a program: every draw needs a key of its own, made from the key that was passed."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import jax
import numpy as np

from probinf.validity._errors import HiddenRandomness, KeyReuseError
from probinf.validity._program import Program, Runs
from probinf.validity._replay import KeyFork, KeyUse

# Worlds that are run again under another base key: all where there are no more.
_RERUN = 4096

# Two slots with one key, and the sentence that says so.
Pairs = dict[tuple[int, int], str]


class KeyAudit:
    """Compares the keys of all draws, over all possible worlds of a program.

    Two draws that share a key, or of which one uses a key that the other's was split or folded from, are reported where
    both matter to one world: changing either outcome alone changes an output or the law of another draw. Branches that
    exclude one another may share a key (under vmap both run, one is dropped).
    """

    def __init__(self, program: Program):
        self._program = program
        self._seen: dict[bytes, Pairs] = {}
        self._suspects: list[tuple[np.ndarray, Pairs]] = []

    def see(self, worlds: np.ndarray, runs: Runs, possible: np.ndarray) -> None:
        """Looks at a batch of worlds; those with the same keys are done once."""
        records = [record for record in runs.records if isinstance(record, KeyUse | KeyFork)]
        rows = np.flatnonzero(possible)
        if not records or not len(rows):
            return
        arrays = [np.asarray(x)[rows].reshape(len(rows), -1) for record in records for x in _arrays(record)]
        table = np.ascontiguousarray(np.concatenate([x.astype(np.uint32) for x in arrays], axis=1))
        names = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1])))[:, 0]
        _, first, group = np.unique(names, return_index=True, return_inverse=True)
        for number, index in enumerate(first):
            name = names[index].tobytes()
            if name not in self._seen:
                self._seen[name] = _pairs(records, int(rows[index]))
            if self._seen[name]:
                self._suspects.append((worlds[rows[group.reshape(-1) == number]], self._seen[name]))

    def check(self) -> None:
        """Judge what was seen.

        Raises: KeyReuseError, naming both lines.
        """
        for worlds, pairs in self._suspects:
            for start in range(0, len(worlds), self._program.rows):
                self._judge(self._program.outcomes(worlds[start : start + self._program.rows]), pairs)

    def _judge(self, outcomes: np.ndarray, pairs: Pairs) -> None:
        runs = self._program.run(outcomes)
        suspects = sorted({slot for pair in pairs for slot in pair})
        matters = {slot: _matters(self._program, outcomes, runs, slot) for slot in suspects}
        for (first, second), sentence in pairs.items():
            if np.any(matters[first] & matters[second]):
                raise KeyReuseError(sentence)


def check_randomness(program: Program, log_prob: np.ndarray) -> None:
    """Runs the same scripts under another base key: the keys of all draws must change, and nothing else.

    Raises: KeyReuseError for a draw whose key does not come from the one that was passed; HiddenRandomness where the
    outcome changes, so that it depends on the key otherwise than by draws of `choice` and `uniform_cells`.
    """
    worlds = np.unique(np.linspace(0, program.worlds - 1, min(_RERUN, program.worlds)).astype(np.int64))
    other = jax.random.fold_in(program.key, 0x5EED)
    for start in range(0, len(worlds), program.rows):
        outcomes = program.outcomes(worlds[start : start + program.rows])
        here, there = program.run(outcomes), program.run(outcomes, key=other)
        possible = here.log_prob > -np.inf
        if not np.any(possible):
            continue
        for one, two in zip(here.records, there.records, strict=True):
            if isinstance(one, KeyUse):
                _check_fresh(program, outcomes, here, one, two, possible)
        differs = differing_rows(here.log_weights, there.log_weights)
        for number, (before, after) in enumerate(zip(here.outputs, there.outputs, strict=True)):
            if number not in program.key_outputs:
                differs |= differing_rows(before, after)
        if np.any(differs & possible):
            raise HiddenRandomness(
                "the outcome depends on the bits of the key itself, or of one made from it: draw with "
                "probinf.choice or probinf.uniform_cells, which can be read on every outcome"
            )


def _check_fresh(
    program: Program, outcomes: np.ndarray, runs: Runs, here: KeyUse, there: KeyUse, possible: np.ndarray
) -> None:
    """Raises: KeyReuseError where a draw that matters uses the same key whatever the base key is."""
    same = np.all(np.asarray(here.keys) == np.asarray(there.keys), axis=-1) & np.asarray(here.active)
    same &= possible.reshape(-1, *([1] * (same.ndim - 1)))
    if not np.any(same):
        return
    slots = np.asarray(here.slots)
    for place in zip(*np.nonzero(np.any(same, axis=0)), strict=True):
        for slot in np.unique(slots[(0, *place)]):
            if np.any(_matters(program, outcomes, runs, int(slot)) & same[(slice(None), *place)]):
                raise KeyReuseError(
                    f"the draw at {here.source} uses a constant key, so each run repeats it: make its key from the one "
                    "that is passed"
                )


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


def differing_rows(before: Any, after: Any) -> np.ndarray:
    """Row by row, whether two batches differ beyond rounding."""
    same = np.isclose(before, after, rtol=1e-9, atol=1e-12, equal_nan=True).reshape(len(before), -1)
    return ~np.all(same, axis=1)
