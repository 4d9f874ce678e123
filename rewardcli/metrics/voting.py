"""majority@k: what the most frequent answer among the first k rollouts is worth."""

from __future__ import annotations

import numpy as np

from ..arrays import Codes, Floats, Ints, Mask
from .metric import Metric
from .ragged import Block, TaskValues

__all__ = ["METRICS"]


def majority_of_first_k(block: Block) -> TaskValues:
    """Score of the majority answer among the first k rollouts.

    Among the first k rollouts that have an answer and the score, (answer, score) pairs are counted; the scores of all
    pairs tied at the highest count are averaged. A task without such a rollout is worth 0. `rollouts` counts the votes.

    Source:
        NeMo Gym's majority@k; maj@k of Wang et al. 2022, arXiv:2203.11171.
    """
    answers = _answers_of(block)
    votes = (answers >= 0) & block.present
    ranks = _ranks(block.filled)
    ballots = np.where(votes, answers.astype(np.int64) * (ranks.max(initial=0) + 1) + ranks, -1)
    counts = np.where(votes, _occurrences(ballots), 0).T  # how often this ballot was cast up to here
    best = np.maximum.accumulate(counts, axis=0)
    return TaskValues(_mean_of_tied(block.filled.T, votes.T, counts, best).T, np.cumsum(votes, axis=1))


def _mean_of_tied(scores: Floats, votes: Mask, counts: Ints, best: Ints) -> Floats:
    """By k and task the mean score of the ballots that have the best count; shape (W, T)."""
    # A ballot reaches a count only once: those that reach the best count are the tied ones.
    sums, tied = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    means = np.empty(scores.shape)
    for k in range(len(scores)):
        reaches = votes[k] & (counts[k] == best[k])
        higher = best[k] > (best[k - 1] if k else 0)
        sums = np.where(higher, 0.0, sums) + np.where(reaches, scores[k], 0.0)
        tied = np.where(higher, 0.0, tied) + reaches
        means[k] = sums / np.maximum(tied, 1)
    return means


def _ranks(scores: Floats) -> Ints:
    """Equal scores as equal small integers."""
    if ((scores == 0) | (scores == 1)).all():
        return scores.astype(np.int64)
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


def unanswered_by_first_k(block: Block) -> TaskValues:
    """1 where none of the first k rollouts has an answer, else 0; `rollouts` counts those looked at."""
    answered = np.maximum.accumulate(_answers_of(block) >= 0, axis=1)
    return TaskValues(1.0 - answered, np.cumsum(block.inside, axis=1))


def _answers_of(block: Block) -> Codes:
    if block.answers is None:
        raise TypeError("voting needs answers")
    return block.answers


METRICS = (
    Metric(
        "majority@k",
        "the score of the most frequent answer among the first k; ties are averaged; a task without any answer counts"
        " as 0; votes are for (answer, score) pairs",
        "mean score of the (answer, score) pairs tied at the highest count",
        "Wang et al. 2022, arXiv:2203.11171; ties as in NVIDIA NeMo Gym",
        of_block=majority_of_first_k,
        of_no_answer=unanswered_by_first_k,
        carried=True,
        without_rollouts=0.0,
        without_rollouts_no_answer=1.0,
        needs_answers=True,
    ),
)
