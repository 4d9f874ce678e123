"""majority@k."""

from __future__ import annotations

import numpy as np

from ..arrays import Codes, Floats, Ints
from .ragged import Curve, add, blocks, longest

__all__ = ["answered_at_k", "majority_at_k"]


def majority_at_k(values: Floats, answers: Codes, starts: Ints) -> Curve:
    """Score of the majority answer among the first k rollouts.

    Among the first k rollouts that have an answer and the score, (answer, score) pairs are counted; the scores of all
    pairs tied at the highest count are averaged. A task without such a rollout counts as 0.

    Args:
        values: Scores; shape (rollouts,).
        answers: Answer codes, -1 for none; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks; all tasks count. `n_rollouts` counts the votes.

    Source:
        NeMo Gym's majority@k; maj@k of Wang et al. 2022, arXiv:2203.11171.

    >>> majority_at_k(np.array([0.0, 1.0, 1.0]), np.array([7, 4, 4], dtype=np.int32), np.array([0, 3])).mean.tolist()
    [0.0, 0.5, 1.0]
    """
    width = longest(starts)
    total, n_rollouts = np.zeros(width), np.zeros(width, np.int64)
    for block in blocks(starts):
        scores = block.of(values)
        codes = block.of(answers, -1)
        votes = (codes >= 0) & ~np.isnan(scores)
        level = _ranks(scores)
        ballots = np.where(votes, codes.astype(np.int64) * (level.max(initial=0) + 1) + level, -1)
        seen = np.where(votes, _occurrences(ballots), 0).T  # how often this ballot was cast up to here
        best = np.maximum.accumulate(seen, axis=0)
        scores, votes = np.where(votes, scores, 0.0).T, votes.T
        # A ballot reaches a count once only: those that reach the highest count are the tied ones.
        sums, tied = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
        winners = np.empty(len(scores))
        for k in range(len(scores)):
            level_with_best = votes[k] & (seen[k] == best[k])
            higher = best[k] > (best[k - 1] if k else 0)
            sums = np.where(higher, 0.0, sums) + np.where(level_with_best, scores[k], 0.0)
            tied = np.where(higher, 0.0, tied) + level_with_best
            winners[k] = (sums / np.maximum(tied, 1)).sum()
        add(total, winners)
        add(n_rollouts, np.cumsum(votes.sum(axis=1)))
    return Curve(total, np.full(width, len(starts) - 1), n_rollouts)


def _ranks(scores: Floats) -> Ints:
    """Equal scores as equal small integers."""
    if ((scores == 0) | (scores == 1) | np.isnan(scores)).all():
        return np.nan_to_num(scores, nan=0.0).astype(np.int64)
    return np.unique(scores, return_inverse=True)[1].reshape(scores.shape)


def _occurrences(ballots: Ints) -> Ints:
    """For every cell, how many cells up to it in its row hold the same value."""
    order = np.argsort(ballots, axis=1, kind="stable")
    ordered = np.take_along_axis(ballots, order, axis=1)
    columns = np.arange(ballots.shape[1])
    new = np.ones(ballots.shape, np.bool_)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    run = columns - np.maximum.accumulate(np.where(new, columns, 0), axis=1) + 1
    seen = np.empty_like(run)
    np.put_along_axis(seen, order, run, axis=1)
    return seen


def answered_at_k(answers: Codes, starts: Ints) -> Curve:
    """Share of tasks with an answer among their first k rollouts.

    Args:
        answers: Answer codes, -1 for none; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks of 0 or 1; all tasks count. `n_rollouts` counts the rollouts looked at.
    """
    width = longest(starts)
    total, n_rollouts = np.zeros(width), np.zeros(width, np.int64)
    for block in blocks(starts):
        found = block.of(answers, -1) >= 0
        add(total, np.maximum.accumulate(found, axis=1).sum(axis=0).astype(np.float64))
        add(n_rollouts, np.cumsum(block.inside.sum(axis=0)))
    return Curve(total, np.full(width, len(starts) - 1), n_rollouts)
