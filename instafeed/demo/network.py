"""Who follows whom and who posts: a heavy tail, close-knit circles, exact totals, memory for counts only.

People are numbered from 0, which is the demo user. Popularity falls as rank^(-3/4) (a power law with exponent
2.3, as social networks have), which needs no table: the fourth power of a uniform number, scaled, is the rank. Half
of everybody's follows stay within a circle of neighbouring numbers, so friends' friends are friends and
follows are often mutual. Ranks are scattered over the numbers by a stride, so circles mix.

Nothing is held but a few 4-byte counts a person: 20 million follows are made one follower at a time.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random

from instafeed.devstack.demo_credentials import STAFF

DEMO_PERSON = 0
CIRCLE_SIZE = 60  # neighbouring people who know each other
CIRCLE_SHARE = 0.5  # share of follows that stay there
DEMO_FOLLOW_COUNT = 40  # ordinary people in the demo user's feed
DEMO_POST_COUNT = 8  # posts by the demo user, where there are that many
MAX_DEGREE_WEIGHT = 40.0  # the keenest follower follows at most this many times as many as a typical one
MIN_USERS = len(STAFF) + 2  # users


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a network: the same recipe gives the same network."""

    users: int = 300  # all accounts, the demo user and the staff included
    follows: int = 6_000
    posts: int = 2_000
    celebrities: int = 5  # the most-followed, pinned as celebrities whatever their follower count
    seed: int = 1

    @property
    def people(self) -> int:
        """Who takes part: everybody but the staff."""
        return self.users - len(STAFF)

    def problem(self) -> str | None:
        """Why there can be no such network, in one line."""
        if self.users < MIN_USERS:
            return f"--users must be at least {MIN_USERS}: the demo user, the staff and somebody to follow"
        most = self.people * (self.people - 1) // 4
        if self.follows > most:
            return f"--follows must be at most {most:,} for {self.users:,} users: everybody would follow everybody"
        if self.celebrities > self.people - 1:
            return f"--celebrities must be at most {self.people - 1:,} for {self.users:,} users"
        return None

    def __str__(self) -> str:
        return (
            f"users={self.users} follows={self.follows} posts={self.posts} "
            f"celebrities={self.celebrities} seed={self.seed}"
        )


class Network:
    """One network while it is made: run `follows()` to its end, then `posts()`; the counts grow along.

    `followers`, `following` and `posts_by` count by person; `pinned` and `demo_followees` are known once
    `follows()` has ended.
    """

    def __init__(self, recipe: Recipe, celebrity_threshold: int) -> None:
        self.recipe = recipe
        self.threshold = celebrity_threshold
        self.followers = _zeros(recipe.people)
        self.following = _zeros(recipe.people)
        self.posts_by = _zeros(recipe.people)
        self.pinned: set[int] = set()
        self.demo_followees: list[int] = []
        self._stride = _coprime_near(int(recipe.people * 0.618), recipe.people)
        self._shift = recipe.people // 3

    def follows(self) -> Iterator[tuple[int, Collection[int]]]:
        """(follower, followees), everybody once, the demo user last; `recipe.follows` in total."""
        rng = Random(f"{self.recipe.seed}/follows")
        followers, degrees = self.followers, self._degrees(rng)
        for person in range(1, self.recipe.people):
            followees = self._followees(person, degrees[person], rng)
            for followee in followees:
                followers[followee] += 1
            self.following[person] = len(followees)
            yield person, followees
        self.demo_followees = self._demo_followees(rng)
        for followee in self.demo_followees:
            followers[followee] += 1
        self.following[DEMO_PERSON] = len(self.demo_followees)
        yield DEMO_PERSON, self.demo_followees

    def is_celebrity(self, person: int) -> bool:
        """Once all follows are made: pinned, or popular enough by itself."""
        return person in self.pinned or self.followers[person] >= self.threshold

    def posts(self) -> Iterator[tuple[int, float]]:
        """(author, moment), oldest first; a moment is a part of the time span, from 0 to 1."""
        rng = Random(f"{self.recipe.seed}/posts")
        total = self.recipe.posts
        every = max(2, total // DEMO_POST_COUNT)
        for number in range(total):
            share = rng.random()
            # Popular people post more, by a flatter curve than they are followed.
            popular = self._by_rank(int(share * share * self.recipe.people))
            author = DEMO_PERSON if number % every == every // 2 else popular
            self.posts_by[author] += 1
            yield author, (number + rng.random()) / total

    def _by_rank(self, rank: int) -> int:
        return (rank * self._stride + self._shift) % self.recipe.people

    @property
    def _demo_degree(self) -> int:
        others = self.recipe.people - 1
        wanted = min(DEMO_FOLLOW_COUNT, others // 2) + self.recipe.celebrities
        return min(wanted, others, self.recipe.follows)

    def _degrees(self, rng: Random) -> array[int]:
        """How many each follows: log-normal, summing up exactly; what is over somebody's limit goes to the next."""
        people = self.recipe.people
        weights = array("f", (min(rng.lognormvariate(0, 1), MAX_DEGREE_WEIGHT) for _ in range(people - 1)))
        total, limit = self.recipe.follows - self._demo_degree, max(1, (people - 1) // 2)
        scale, due = total / max(math.fsum(weights), 1e-9), 0.0
        degrees = _zeros(people)
        for person, weight in enumerate(weights, 1):
            due += weight * scale
            degrees[person] = min(int(due), limit)
            due -= degrees[person]
        missing = total - sum(degrees)
        while missing > 0:
            for person in range(1, people):
                if missing > 0 and degrees[person] < limit:
                    degrees[person] += 1
                    missing -= 1
        return degrees

    def _followees(self, person: int, degree: int, rng: Random) -> set[int]:
        """`degree` different people, not `person`. The loop that makes 20 million follows: locals, one draw a pick."""
        random, people, stride, shift = rng.random, self.recipe.people, self._stride, self._shift
        start = person - person % CIRCLE_SIZE
        width = min(CIRCLE_SIZE, people - start)
        chosen = {person}
        for _ in range(8 * degree + 16):
            if len(chosen) > degree:
                break
            share = random()
            if share < CIRCLE_SHARE:
                share /= CIRCLE_SHARE
                chosen.add(start + int(share * share * width))
            else:
                share = (share - CIRCLE_SHARE) / (1 - CIRCLE_SHARE)
                share *= share
                chosen.add((int(share * share * people) * stride + shift) % people)
        # Who follows nearly everybody popular already takes whoever comes next.
        following = person
        while len(chosen) <= degree:
            following = (following + 1) % people
            chosen.add(following)
        chosen.discard(person)
        return chosen

    def _demo_followees(self, rng: Random) -> list[int]:
        """The celebrities, the most-followed first, then ordinary people from everywhere."""
        count, others = self.followers, range(1, self.recipe.people)
        top = heapq.nlargest(self.recipe.celebrities, others, key=count.__getitem__)
        self.pinned = {person for person in top if count[person] < self.threshold}
        famous = set(top) | {person for person in others if count[person] >= self.threshold}
        # Where a low threshold makes hundreds of celebrities, room is left for ordinary people.
        room = min(self._demo_degree, self.recipe.celebrities + DEMO_FOLLOW_COUNT // 2)
        chosen = dict.fromkeys(heapq.nlargest(room, famous, key=lambda person: (count[person], -person)))
        ordinary = [person for person in self._followees(DEMO_PERSON, self._demo_degree, rng) if person not in famous]
        rng.shuffle(ordinary)
        unknown = (person for person in others if person not in famous)
        for person in chain(ordinary, unknown, others):
            if len(chosen) >= self._demo_degree:
                break
            chosen[person] = None
        return list(chosen)


def _zeros(count: int) -> array[int]:
    return array("I", bytes(4 * count))


def _coprime_near(start: int, to: int) -> int:
    return next(stride for stride in range(max(1, start), 0, -1) if math.gcd(stride, to) == 1)
