"""Influence maps: how much output slice i moves when input slice j is replaced."""

from typing import Any

import numpy as np

from layerwright.trial import Array, Trial, leaves


def batch_influence(trial: Trial, layer: Any, *, training: bool) -> Array:
    """Return the (batch, batch) influence map: entry (i, j) is how much output row i moved when sample j was replaced.

    A move of NaN to a number or back counts as infinite. Every call starts from the same state and seeds.
    """
    usual, other = trial.usual, trial.arguments(seed=1)
    base = leaves(trial.call(layer, usual, training=training))
    influence = np.zeros((usual.batch, usual.batch))
    for sample in range(usual.batch):
        replaced = [
            np.concatenate([mine[:sample], theirs[sample : sample + 1], mine[sample + 1 :]])
            for mine, theirs in zip(usual.arrays(), other.arrays(), strict=True)
        ]
        moved = leaves(trial.call(layer, usual.replace_arrays(replaced), training=training))
        for before, after in zip(base, moved, strict=True):
            influence[:, sample] = np.maximum(influence[:, sample], row_moves(before, after))
    return influence


def row_moves(before: Array, after: Array) -> Array:
    """Return how much each row (axis 0) moved: the largest absolute difference, infinite where NaN came or went."""
    rows = (before.shape[0], -1)
    a, b = before.reshape(rows).astype("float64"), after.reshape(rows).astype("float64")
    with np.errstate(invalid="ignore"):
        moves = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    return np.asarray(np.where(np.isnan(moves), np.inf, moves).max(axis=1, initial=0.0))


def who_sees_whom(influence: Array, most: int = 4) -> str:
    """Name the pairs off the diagonal that moved, strongest first; empty if there are none."""
    off = influence - np.diag(np.diag(influence))
    off = np.where(np.isnan(off), 0.0, off)
    pairs = np.argwhere(off > 0)
    if not len(pairs):
        return ""
    strongest = sorted(pairs.tolist(), key=lambda pair: -off[pair[0], pair[1]])
    words = [f"output {i} moved by {off[i, j]:.3g} with sample {j}" for i, j in strongest[:most]]
    more = f" and {len(strongest) - most} more pairs" if len(strongest) > most else ""
    return ", ".join(words) + more
