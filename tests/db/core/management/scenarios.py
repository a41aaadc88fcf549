"""Scenarios that give a command something to do, and a snapshot of all data: tables, Redis, files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from accounts import second_factor, services, sessions
from accounts.models import SecondFactor, User
from feeds import backfill, visible_authors
from feeds.models import DeliveryMode, FanOut
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs.leased import JobState
from posts.models import Counter, Post
from social.models import Follow
from tests.db.feeds.feed_setup import create_posts, create_users, deliver_all, follow
from tests.support.factories import FollowFactory, UserFactory
from tests.support.leased_jobs import lose_tasks
from tests.support.partitioned import partition_by_month

CELEBRITY_THRESHOLD = 3  # followers, in every scenario
NEW_PASSWORD = "a moth in relay 70"
Snapshot = dict[str, object]


def take_snapshot() -> Snapshot:
    """Return a snapshot of every table, every key of both Redis servers, and every media file.

    Expiry times are left out, and so are the short-lived marks of requested tasks.
    """
    snapshot: Snapshot = {}
    marks = keys.look_coming("").encode()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT count(*), md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM {table} AS row")
            snapshot[table] = cursor.fetchone()
    for url in (settings.REDIS_URL, settings.CELERY_BROKER_URL):
        with redis.Redis.from_url(url) as server:
            snapshot |= {f"{url} {key!r}": server.dump(key) for key in server.keys("*") if not key.startswith(marks)}
    root = Path(settings.MEDIA_ROOT)
    return snapshot | {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def empty_site(_: Path) -> None:
    """No users at all."""


def follow_file(directory: Path) -> None:
    """A file of follows; two of its users and one of its follows exist."""
    follow(*(UserFactory(username=f"u{number}") for number in (1, 2)))
    lines = [f"{follower}\t9\n" for follower in range(1, 5)] + ["9\t1\n"]
    (directory / "edges.tsv").write_text("".join(lines))


def cold_feeds(_: Path) -> None:
    """Feeds that are not cached."""
    author, *fans = create_users(4)
    follow(author, *fans)
    create_posts(author, 2)
    deliver_all()
    cache().flushdb()


def wrong_celebrity_states(_: Path) -> None:
    """Authors in the wrong celebrity state, in both directions, and one with a wrong follower count."""
    famous, risen, fallen, *fans = create_users(6)
    for author in (famous, risen):
        for fan in fans:
            FollowFactory(follower=fan, followee=author)
    for author in (fallen, fans[0]):
        User.objects.filter(pk=author.pk).update(celebrity_state=2)
        FollowFactory(follower=fans[1], followee=author)
    User.objects.filter(pk=risen.pk).update(follower_count=0)


def inconsistent_feeds(_: Path) -> None:
    """A feed that lacks a post, a feed with a foreign post, and a celebrity missing from the cached set."""
    author, stranger, famous, *fans = create_users(6)
    follow(author, *fans)
    User.objects.filter(pk=famous.pk).update(celebrity_state=2)
    posts, foreign = create_posts(author, 2), create_posts(stranger)
    deliver_all()
    for fan in fans:
        backfill.rebuild_home_timeline(fan.pk)
    visible_authors.fill_celebrities(0)
    cache().lrem(keys.home_timeline(fans[0].pk), 0, str(posts[0]))
    cache().lpush(keys.home_timeline(fans[1].pk), foreign[0])
    cache().srem(keys.celebrities(0), famous.pk)


def wrong_counts(_: Path) -> None:
    """Counts of followers, posts and likes that are too high."""
    author, fan = create_users(2)
    follow(author, fan)
    posts = create_posts(author, 2)
    User.objects.filter(pk=author.pk).update(follower_count=F("follower_count") + 7, post_count=F("post_count") + 1)
    Counter.objects.bulk_create(Counter(subject_id=post, slot=0, likes=5) for post in posts)


def undelivered_posts(_: Path) -> None:
    """Posts whose fan-out tasks were lost, and one dead fan-out."""
    author, fan = create_users(2)
    follow(author, fan)
    posts = create_posts(author, 3)
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        lose_tasks(broker)
    FanOut.objects.filter(pk=posts[0]).update(state=JobState.DEAD, error="its workers died")


def signed_in_user(_: Path) -> None:
    """Alice with two sessions and a second factor, and Bob without."""
    alice = UserFactory(username="alice")
    UserFactory(username="bob")
    second_factor.enroll(alice.pk, replace=False)
    for _session in range(2):
        sessions.start(alice)


def staff(directory: Path) -> None:
    """As `signed_in_user`, with Alice and Carol as staff."""
    UserFactory(username="carol", is_staff=True)
    signed_in_user(directory)
    User.objects.filter(username="alice").update(is_staff=True)


def unverified_addresses(_: Path) -> None:
    """Alice with an unverified address, Bob without one, and Carol with one that Dan has verified."""
    UserFactory(username="alice", email="alice@example.org", email_verified=False)
    UserFactory(username="bob", email="")
    UserFactory(username="carol", email="dan@example.org", email_verified=False)
    UserFactory(username="dan", email="dan@example.org", email_verified=True)


def suspended_user(_: Path) -> None:
    """Alice, suspended."""
    services.suspend(UserFactory(username="alice").pk)


def secrets_of_a_former_key(_: Path) -> None:
    """Two second factors whose secrets were encrypted with a former SECRET_KEY."""
    for user in create_users(2):
        second_factor.enroll(user.pk, replace=False)
    SecondFactor.objects.update(key_id="0" * 16)


def follows() -> set[tuple[str, str]]:
    return set(Follow.objects.values_list("follower__username", "followee__username"))


def expired_fan_outs(_: Path) -> None:
    """Fan-outs in a partition that is older than FAN_OUT_RETENTION_DAYS, one of them a dead letter."""
    partition_by_month(4)
    times = [timezone.now() - timedelta(days=days) for days in (100, 101)]
    with transaction.atomic():  # whose end checks the foreign keys; a table with unchecked ones cannot be dropped
        author = UserFactory()
        posts = Post.objects.bulk_create([Post(id=first_id_at(at), author=author, created_at=at) for at in times])
        for post, state in zip(posts, (JobState.DONE, JobState.DEAD), strict=True):
            FanOut.objects.create(post=post, author=author, mode=DeliveryMode.PUSH, state=state)
