"""Deliver a backlog of posts: authors with followers create posts while the workers are paused, and then they work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Sum

from accounts.models import User
from benchmarks import seeding
from benchmarks.cpu import CpuMeter, Usage
from benchmarks.harness import Worker, log, wait_for
from benchmarks.viewers import make_cold
from feeds import backfill
from feeds.models import FanOut
from instafeed.core.jobs.leased import UNFINISHED
from posts.services import create_post
from social.models import Follow

POLL_INTERVAL = 0.01  # seconds
_AUTHORS_SQL = """
SELECT id FROM accounts_user
WHERE is_active AND celebrity_state = 0 AND follower_count BETWEEN %s AND %s
ORDER BY hashint8extended(id, 8) LIMIT %s
"""


@dataclass(frozen=True)
class Backlog:
    """The posts of one round. `deliveries`: pushes to warm home timelines."""

    posts: int
    deliveries: int
    usage: Usage

    def per_delivery(self) -> tuple[float, float]:
        """Return the elapsed and the CPU seconds for a delivery."""
        return self.usage.elapsed / self.deliveries, sum(self.usage.seconds.values()) / self.deliveries


@dataclass
class Deliveries:
    """Authors with that many followers, at least and at most. Each creates `posts` posts in a round."""

    followers: tuple[int, int]
    authors: int
    posts: int
    missing: int = field(default=0, init=False)  # deliveries that did not happen, though all timelines were warm

    def __post_init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_AUTHORS_SQL, [*self.followers, self.authors])
            self._authors = [row[0] for row in cursor.fetchall()]
        followers = Follow.objects.filter(followee_id__in=self._authors, follower__is_active=True)
        self._followers = followers.values("follower_id")
        self.posts_a_round = len(self._authors) * self.posts  # in a round
        self.audience = followers.count() * self.posts  # of all posts of a round
        self._newest = 0

    def make_cold(self) -> None:
        make_cold(self._followers.values_list("follower_id", flat=True))

    def warm_up(self) -> None:
        """Give all followers a warm home timeline."""
        viewers = User.objects.filter(pk__in=self._followers)
        log(f"warming up {viewers.count():,} followers of {len(self._authors)} authors")
        for _ in backfill.replace_home_timelines(viewers, after=0, batch_size=500):
            pass

    def run(self, workers: Sequence[Worker], meter: CpuMeter) -> Backlog:
        """Run one round, in which only the delivery is measured. In the first one the workers load modules."""
        self.create(workers)
        usage = Usage()
        with meter.measure(usage):
            self.deliver(workers)
        return Backlog(self.posts_a_round, self.count(), usage)

    def create(self, workers: Sequence[Worker]) -> None:
        """Pause the workers and create the posts."""
        self._newest = FanOut.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        for worker in workers:
            worker.pause()
        for author_id in self._authors * self.posts:
            create_post(author_id, seeding.CAPTION)

    def deliver(self, workers: Sequence[Worker]) -> None:
        """Let the workers deliver the posts, and wait for the end."""
        unfinished = FanOut.objects.filter(state__in=UNFINISHED)
        for worker in workers:
            worker.resume()
        wait_for(lambda: not unfinished.exists(), timeout=120, every=POLL_INTERVAL, what="a fan-out")

    def count(self) -> int:
        """Return the deliveries of the last round to warm home timelines, and add to `missing` if there are less."""
        count: int = FanOut.objects.filter(pk__gt=self._newest).aggregate(sum=Sum("deliveries"))["sum"]
        self.missing += max(0, self.audience - count)
        return count
