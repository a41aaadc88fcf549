"""Delivery of posts: to the author at once, to followers in slices, to followers of celebrities by pull."""

from __future__ import annotations

import pytest
import redis
from django.db import transaction
from pytest_django import Settings

from accounts.models import User
from feeds import celebrity_transitions, fanout, fanout_outbox, rate_limiter, tasks, timeline_store
from feeds.fanout_outbox import Progress
from feeds.models import DeliveryMode, FanOut
from feeds.timeline_store import Push
from instafeed.core.cache import keys
from instafeed.core.jobs.leased import JobState, Outcome
from posts import purge
from posts import services as posts
from posts.models import Post
from tests.db.feeds.feed_setup import (
    claim,
    create_posts,
    create_users,
    deliver,
    deliver_all,
    follow,
    get_fan_out,
    read_feed,
)
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_post_and_its_fan_out_commit_together() -> None:
    author = UserFactory()
    with transaction.atomic():
        posts.create_post(author.pk, "never")
        transaction.set_rollback(True)
    assert not Post.objects.exists()
    assert not FanOut.objects.exists()
    (post_id,) = create_posts(author)
    assert get_fan_out(post_id).mode == DeliveryMode.PUSH


def test_only_creating_a_post_enqueues_a_fan_out(redis_broker: redis.Redis) -> None:
    post = Post.objects.create(author=UserFactory(), caption="from a shell")
    assert get_fan_out(post.pk).state == JobState.PENDING
    assert redis_broker.llen("fan_out") == 1
    post.caption = "edited"
    post.save()
    assert redis_broker.llen("fan_out") == 1


def test_author_sees_a_post_at_once_and_followers_after_the_fan_out() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    assert read_feed(author) == read_feed(follower) == []
    (post_id,) = create_posts(author)
    assert read_feed(author) == [post_id]
    assert read_feed(follower) == []
    deliver_all()
    assert read_feed(follower) == [post_id]


def test_round_saves_a_checkpoint_from_which_the_next_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FAN_OUT_BATCH_SIZE = 2
    monkeypatch.setattr(fanout, "ROUND_SECONDS", 0.0)
    author, *followers = create_users(6)
    follow(author, *followers)
    for follower in followers:
        read_feed(follower)
    (post_id,) = create_posts(author)
    assert deliver(post_id) is Outcome.CONTINUED
    assert get_fan_out(post_id).last_follower_id == followers[1].pk
    assert get_fan_out(post_id).deliveries == 2
    assert deliver(post_id) is Outcome.CONTINUED
    assert deliver(post_id) is Outcome.FINISHED
    assert (get_fan_out(post_id).state, get_fan_out(post_id).deliveries) == (JobState.DONE, 5)
    assert all(read_feed(follower) == [post_id] for follower in followers)


def test_post_deleted_during_its_fan_out_is_in_no_feed() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    fan_out = claim(post_id)
    assert fan_out
    posts.delete_post(post_id, author.pk)
    assert purge.purge_batch()
    timeline_store.push_to_home_timelines([Push(post_id, [follower.pk])])
    assert not fanout_outbox.mark_done([Progress(fan_out)])
    tasks.deliver_posts()
    assert read_feed(follower) == []


def test_celebrity_post_is_pulled_by_followers() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    User.objects.filter(pk=author.pk).update(celebrity_pin=True)
    celebrity_transitions.promote([author.pk])
    read_feed(follower)
    (post_id,) = create_posts(author)
    assert get_fan_out(post_id).mode == DeliveryMode.PULL
    assert read_feed(follower) == [post_id], "before any task has run"
    assert timeline_store.peek(keys.home_timeline(follower.pk)) == timeline_store.Timeline([], 0)
    deliver_all()
    assert (get_fan_out(post_id).state, get_fan_out(post_id).deliveries) == (JobState.DONE, 0)


def test_slice_ends_if_the_rate_limiter_demands_a_long_wait(settings: Settings) -> None:
    settings.FAN_OUT_RATE_LIMIT = 1
    author, *followers = create_users(4)
    follow(author, *followers)
    rate_limiter.acquire(3_000)
    (post_id,) = create_posts(author)
    assert deliver(post_id) is Outcome.CONTINUED
    assert (get_fan_out(post_id).state, get_fan_out(post_id).deliveries) == (JobState.PENDING, 0)


def test_rate_limit_below_the_batch_size_shrinks_batches(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that needs more tokens than a slice can wait for would never be delivered."""
    settings.FAN_OUT_RATE_LIMIT = 2
    monkeypatch.setattr(fanout, "ROUND_SECONDS", 0.0)
    author, *followers = create_users(5)
    follow(author, *followers)
    for follower in followers:
        read_feed(follower)
    (post_id,) = create_posts(author)
    assert deliver(post_id) is Outcome.CONTINUED
    assert get_fan_out(post_id).deliveries == 2
