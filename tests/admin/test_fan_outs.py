"""The ledger of fan-outs in the admin, and handing them out again."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from unittest.mock import patch

import pytest
import redis
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from feeds import admin_actions, fanout
from feeds.admin_actions import ResumeResult
from feeds.models import DeliveryMode, FanOut
from instafeed.core.jobs.leased import JobState
from tests.concurrency import run_concurrently
from tests.factories import UserFactory
from tests.feeds.feed_setup import create_posts, deliver_all, follow, read_feed
from tests.staff import admin_client, create_staff, moderator_client, operator_client, run_bulk_action

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/feeds/fanout/"


@pytest.fixture
def author() -> User:
    return UserFactory(username="maria")


def listed(client: Client, **query: str) -> list[int]:
    answer = client.get(LIST, query)
    assert answer.status_code == 200, answer.content
    return [fan_out.pk for fan_out in answer.context["cl"].result_list]


def put(post_id: int, state: JobState, **fields: object) -> None:
    FanOut.objects.filter(pk=post_id).update(state=state, **fields)


def row(client: Client, post_id: int) -> str:
    return client.get(f"{LIST}{post_id}/change/").content.decode()


def test_it_is_found_by_state_by_post_and_by_its_authors_whole_name(author: User) -> None:
    pending, running, dead, done = create_posts(author, 4)
    put(running, JobState.RUNNING)
    put(dead, JobState.DEAD)
    put(done, JobState.DONE)
    other = create_posts(UserFactory(username="mariana"))[0]
    client = operator_client()
    assert listed(client) == [other, done, dead, running, pending]
    assert listed(client, state="open") == [other, running, pending]
    assert listed(client, state="dead") == [dead]
    assert listed(client, state="done") == [done]
    assert listed(client, q=str(dead)) == [dead]
    assert listed(client, q="Maria") == listed(client, q="@maria") == [done, dead, running, pending]
    assert listed(client, q="maria", state="dead") == [dead]
    assert listed(client, q="mari") == listed(client, q="0") == []


def test_what_it_shows_is_said_plainly(author: User) -> None:
    post, pulled = create_posts(author, 2)
    User.objects.filter(pk=author.pk).update(follower_count=12_345)
    FanOut.objects.filter(pk=pulled).update(mode=DeliveryMode.PULL)
    client = operator_client()
    began = timezone.now() - timedelta(minutes=5)
    put(post, JobState.PENDING, last_follower_id=77, deliveries=4_000, attempts=2, error="boom", created_at=began)
    page = row(client, post)
    assert "4,000 warm feeds of 12,345 followers; done up to user 77" in page
    assert "5 min so far" in page
    assert "boom" in page
    assert "2 × boom" in client.get(LIST).content.decode()
    put(post, JobState.DONE, last_follower_id=0, finished_at=began + timedelta(milliseconds=240))
    page = row(client, post)
    assert "done up to" not in page
    assert "240 ms" in page
    assert "nothing to deliver" in row(client, pulled)


def test_resuming_revives_the_dead_hands_out_the_waiting_and_leaves_the_rest(
    author: User, redis_broker: redis.Redis
) -> None:
    reader = UserFactory()
    follow(author, reader)
    read_feed(reader)
    dead, waiting, abandoned, working, done = posts = create_posts(author, 5)
    past, future = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    put(dead, JobState.DEAD, error="boom", attempts=11, last_follower_id=1)
    put(waiting, JobState.PENDING, due_at=future)
    put(abandoned, JobState.RUNNING, due_at=past)
    put(working, JobState.RUNNING, due_at=future)
    put(done, JobState.DONE)
    redis_broker.delete("fan_out")
    user = create_staff("Operator", username="otto")
    (message,) = run_bulk_action(admin_client(user), LIST, "resume", *posts)
    parts = ("Dead letters requeued: 1", "waiting fan-outs dispatched: 2", "skipped because done or running: 2.")
    assert message == "; ".join(parts)
    assert redis_broker.llen("fan_out") == 3
    states = dict(FanOut.objects.values_list("pk", "state"))
    assert (states[dead], states[working], states[done]) == (JobState.PENDING, JobState.RUNNING, JobState.DONE)
    assert FanOut.objects.get(pk=dead).last_follower_id == 1, "goes on where it stopped"
    entry = AuditEntry.objects.get()  # nothing has changed about the others
    assert (entry.actor_name, entry.action, entry.target_type, entry.user_id) == (
        "otto",
        "resume",
        "fan_out",
        author.pk,
    )
    assert (entry.target_id, entry.before, entry.after) == (dead, {"state": "dead letter"}, {"state": "pending"})
    fanout.deliver_slice(waiting)
    assert waiting in read_feed(reader)


def test_one_resume_and_its_entry_go_together_or_not_at_all(author: User) -> None:
    dead = create_posts(author)[0]
    put(dead, JobState.DEAD)
    with patch("feeds.admin_actions.audit.record", side_effect=RuntimeError), pytest.raises(RuntimeError):
        admin_actions.resume_fan_outs([dead], create_staff())
    assert FanOut.objects.get(pk=dead).state == JobState.DEAD


def test_of_two_operators_at_once_one_revives_it(author: User) -> None:
    dead = create_posts(author)[0]
    put(dead, JobState.DEAD)
    operators = [create_staff(), create_staff()]
    done = run_concurrently([partial(admin_actions.resume_fan_outs, [dead], each) for each in operators])
    assert sorted(done, key=lambda each: each.requeued) == [ResumeResult(0, 1, 0), ResumeResult(1, 0, 0)]
    assert AuditEntry.objects.count() == 1


def test_without_a_broker_it_is_left_to_the_sweeper(author: User) -> None:
    dead = create_posts(author)[0]
    put(dead, JobState.DEAD)
    with patch("feeds.tasks.deliver_post.apply_async", side_effect=redis.ConnectionError):
        assert admin_actions.resume_fan_outs([dead], create_staff()) == ResumeResult(
            requeued=1, dispatched=0, skipped=0
        )
    deliver_all()
    assert FanOut.objects.get(pk=dead).state == JobState.DONE


def test_only_operators_resume_and_look(author: User) -> None:
    post = create_posts(author)[0]
    put(post, JobState.DEAD)
    assert moderator_client().get(LIST).status_code == 403
    user = create_staff()
    user.user_permissions.add(Permission.objects.get(codename="view_fanout"))
    looks = admin_client(user)
    assert listed(looks) == [post]
    assert "Resume" not in row(looks, post)
    assert run_bulk_action(looks, LIST, "resume", post) == []
    assert FanOut.objects.get(pk=post).state == JobState.DEAD
    assert not AuditEntry.objects.exists()
