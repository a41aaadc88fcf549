"""Generate who follows whom and who posts when: heavy-tailed, clustered, with exact totals.

People are numbered from 0, which is the demo user. Popularity falls as rank^(-3/4), a power law with exponent 2.3 as in
real social networks. No table is needed: the scaled fourth power of a uniform random number is the rank. Half of a
person's follows stay within a circle of neighbouring numbers, so friends of friends are friends and follows are often
mutual. A stride scatters the ranks over the numbers, so that circles mix popular and ordinary people.

Memory holds only a few 4-byte counts per person: 20 million follows are generated one follower at a time.
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
CIRCLE_SIZE = 60  # neighbouring people who mostly follow each other
CIRCLE_SHARE = 0.5  # of all follows stay within the circle
DEMO_FOLLOW_COUNT = 40  # ordinary people that the demo user follows
DEMO_POST_COUNT = 8  # posts by the demo user, if there are that many
MAX_DEGREE_WEIGHT = 40.0  # at most so many times as many follows as a typical person
MIN_USERS = len(STAFF) + 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parameters of a network. The same recipe gives the same network."""

    users: int = 300  # all accounts, including the demo user and the staff
    follows: int = 6_000
    posts: int = 2_000
    celebrities: int = 5  # the most followed people, pinned as celebrities
    seed: int = 1

    @property
    def people(self) -> int:
        """The number of users without the staff."""
        return self.users - len(STAFF)

    def problem(self) -> str | None:
        """Return why this network is impossible, in one line; None if it is possible."""
        if self.users < MIN_USERS:
            return f"--users must be at least {MIN_USERS}: the demo user, the staff and one user to follow"
        max_follows = self.people * (self.people - 1) // 4
        if self.follows > max_follows:
            return f"--follows must be at most {max_follows:,} for {self.users:,} users (a quarter of all pairs)"
        if self.celebrities > self.people - 1:
            return f"--celebrities must be at most {self.people - 1:,} for {self.users:,} users"
        return None

    def __str__(self) -> str:
        return (
            f"users={self.users} follows={self.follows} posts={self.posts} "
            f"celebrities={self.celebrities} seed={self.seed}"
        )


class Network:
    """Generates one network. Exhaust `follows()` first, then `posts()`.

    `followers`, `following` and `posts_by` hold the counts by person so far. `pinned` and `demo_followees` are set when
    `follows()` ends.
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
        """Yield (follower, followees) once per person, the demo user last; `recipe.follows` follows in total."""
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
        """Return whether a person is pinned or has enough followers. Valid when `follows()` has ended."""
        return person in self.pinned or self.followers[person] >= self.threshold

    def posts(self) -> Iterator[tuple[int, float]]:
        """Yield (author, moment), oldest first. A moment is a fraction of the time span, 0 to 1."""
        rng = Random(f"{self.recipe.seed}/posts")
        total = self.recipe.posts
        every = max(2, total // DEMO_POST_COUNT)
        for number in range(total):
            share = rng.random()
            # Popular people post more, but the curve is flatter than that of followers.
            popular = self._by_rank(int(share * share * self.recipe.people))
            author = DEMO_PERSON if number % every == every // 2 else popular
            self.posts_by[author] += 1
            yield author, (number + rng.random()) / total

    def _by_rank(self, rank: int) -> int:
        return (rank * self._stride + self._shift) % self.recipe.people

    @property
    def _demo_degree(self) -> int:
        others = self.recipe.people - 1
        count = min(DEMO_FOLLOW_COUNT, others // 2) + self.recipe.celebrities
        return min(count, others, self.recipe.follows)

    def _degrees(self, rng: Random) -> array[int]:
        """Return how many people each person follows: log-normal, with an exact sum. Excess goes to the next person."""
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
        """Return `degree` people other than `person`. Local variables, as this generates 20 million follows."""
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
        # If almost all popular people are chosen already, take the next numbers.
        following = person
        while len(chosen) <= degree:
            following = (following + 1) % people
            chosen.add(following)
        chosen.discard(person)
        return chosen

    def _demo_followees(self, rng: Random) -> list[int]:
        """Return the celebrities, the most followed first, then ordinary people from all circles."""
        count, others = self.followers, range(1, self.recipe.people)
        top = heapq.nlargest(self.recipe.celebrities, others, key=count.__getitem__)
        self.pinned = {person for person in top if count[person] < self.threshold}
        celebrities = set(top) | {person for person in others if count[person] >= self.threshold}
        # With a low threshold there are hundreds of celebrities; leave room for ordinary people.
        celebrity_count = min(self._demo_degree, self.recipe.celebrities + DEMO_FOLLOW_COUNT // 2)
        chosen = dict.fromkeys(
            heapq.nlargest(celebrity_count, celebrities, key=lambda person: (count[person], -person))
        )
        ordinary = [
            person for person in self._followees(DEMO_PERSON, self._demo_degree, rng) if person not in celebrities
        ]
        rng.shuffle(ordinary)
        others_left = (person for person in others if person not in celebrities)
        for person in chain(ordinary, others_left, others):
            if len(chosen) >= self._demo_degree:
                break
            chosen[person] = None
        return list(chosen)


def _zeros(count: int) -> array[int]:
    return array("I", bytes(4 * count))


def _coprime_near(start: int, to: int) -> int:
    return next(stride for stride in range(max(1, start), 0, -1) if math.gcd(stride, to) == 1)
