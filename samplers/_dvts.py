"""Diverse verifier tree search: small beam searches side by side, so that no one prefix takes all places."""

from __future__ import annotations

from probinf._sampler import Sampler
from probinf.lm import writing
from probinf.samplers._beam_search import pruned_search
from probinf.samplers._prune import Prune
from probinf.samplers._reasoning_filter import Writer
from probinf.samplers._selection import FinalReward
from probinf.samplers._weight_rules import Aggregate


def dvts(writer: Writer, *, width: int = 4, aggregate: Aggregate = "last") -> Sampler:
    """Grows N / width trees: each tries `width` next steps, and goes on from the best of them.

    Law: none claimed (HEURISTIC); all weights stay equal. What is left are the N tries of the last step, or of the step
    after which all tries of a tree were finished. Scores, ties and rewards that are no numbers: see `beam_search`.

    There is no lookahead: a step is scored by itself. Where the best try of a tree is finished, the tree ends with
    `width` copies of it; the released code ends such a tree with its different tries instead.

    Raises: ValueError for a cloud that `width` does not divide, before anything is written.

    Source: search-and-learn (search/diverse_verifier_tree_search.py), the baseline of arXiv 2502.01618, whose released
    code scores a greedy extra step.
    """
    return pruned_search(writer, Prune(FinalReward(aggregate), width, width, writing))
