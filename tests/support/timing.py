"""Compare how long two calls take, in a way that allows for the noise of a busy machine."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence

ROUNDS = 40
MAX_RATIO = 1.25  # of medians
MAX_DEVIATIONS = 4.0  # of the rank sum from what equal distributions give


def sample_interleaved(one: Callable[[int], object], other: Callable[[int], object]) -> tuple[list[float], list[float]]:
    """Return the seconds that both calls took in each of ROUNDS rounds, in random order within a round."""
    seconds: tuple[list[float], list[float]] = ([], [])
    calls = (one, other)
    for number in range(-2, ROUNDS):
        for which in random.sample((0, 1), 2):
            began = time.perf_counter()
            calls[which](number)
            if number >= 0:  # the first rounds fill caches
                seconds[which].append(time.perf_counter() - began)
    return seconds


def differ(one: Sequence[float], other: Sequence[float], max_ratio: float = MAX_RATIO) -> bool:
    """Return whether the distributions differ: in rank, beyond chance, and also by a share that could be measured."""
    medians = sorted((statistics.median(one), statistics.median(other)))
    return medians[1] > max_ratio * medians[0] and abs(rank_deviation(one, other)) > MAX_DEVIATIONS


def rank_deviation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return by how many standard deviations the rank sum of `one` is off (Mann and Whitney's test)."""
    wins = sum((a > b) + (a == b) / 2 for a in one for b in other)
    pairs = len(one) * len(other)
    return (wins - pairs / 2) / math.sqrt(pairs * (len(one) + len(other) + 1) / 12)
