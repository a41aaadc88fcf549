"""Fan-outs in the admin: the list, its filters and search, and the action "Resume"."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

import pytest
import redis
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from feeds import admin_actions
from feeds.admin_actions import ResumeResult
from feeds.models import DeliveryMode, FanOut
from instafeed.core.jobs.leased import JobState
from tests.db.feeds.feed_setup import create_posts, deliver, deliver_all, follow, read_feed
from tests.support.factories import UserFactory
from tests.support.leased_jobs import lose_tasks
from tests.support.staff import admin_client, create_staff, moderator_client, operator_client, run_bulk_action

pytestmark = pytest.mark.django_db

LIST_URL = "/admin/feeds/fanout/"


@pytest.fixture
def author() -> User:
    return UserFactory(username="maria")


def listed_ids(client: Client, **query: str) -> list[int]:
    response = client.get(LIST_URL, query)
    assert response.status_code == 200, response.content
    return [fan_out.pk for fan_out in response.context["cl"].result_list]


def set_state(post_id: int, state: JobState, **fields: object) -> None:
    FanOut.objects.filter(pk=post_id).update(state=state, **fields)


def get_change_page(client: Client, post_id: int) -> str:
    return client.get(f"{LIST_URL}{post_id}/change/").content.decode()


def test_list_is_filtered_by_state_and_searched_by_post_and_author(author: User) -> None:
    pending, running, dead, done = create_posts(author, 4)
    set_state(running, JobState.RUNNING)
    set_state(dead, JobState.DEAD)
    set_state(done, JobState.DONE)
    other = create_posts(UserFactory(username="mariana"))[0]
    client = operator_client()
    assert listed_ids(client) == [other, done, dead, running, pending]
    assert listed_ids(client, state="open") == [other, running, pending]
    assert listed_ids(client, state="dead") == [dead]
    assert listed_ids(client, state="done") == [done]
    assert listed_ids(client, q=str(dead)) == [dead]
    assert listed_ids(client, q="Maria") == listed_ids(client, q="@maria") == [done, dead, running, pending]
    assert listed_ids(client, q="maria", state="dead") == [dead]
    assert listed_ids(client, q="mari") == listed_ids(client, q="0") == []


def test_change_page_shows_progress_lag_and_failures(author: User) -> None:
    post, pulled = create_posts(author, 2)
    User.objects.filter(pk=author.pk).update(follower_count=12_345)
    FanOut.objects.filter(pk=pulled).update(mode=DeliveryMode.PULL)
    client = operator_client()
    began = timezone.now() - timedelta(minutes=5)
    set_state(post, JobState.PENDING, last_follower_id=77, deliveries=4_000, attempts=2, error="boom", created_at=began)
    page = get_change_page(client, post)
    assert "4,000 warm feeds of 12,345 followers; done up to user 77" in page
    assert "5 min so far" in page
    assert "boom" in page
    assert "2 × boom" in client.get(LIST_URL).content.decode()
    set_state(post, JobState.DONE, last_follower_id=0, finished_at=began + timedelta(milliseconds=240))
    page = get_change_page(client, post)
    assert "done up to" not in page
    assert "240 ms" in page
    assert "nothing to deliver" in get_change_page(client, pulled)


def test_resume_requeues_dead_letters_and_waiting_fan_outs(author: User, redis_broker: redis.Redis) -> None:
    reader = UserFactory()
    follow(author, reader)
    read_feed(reader)
    dead, waiting, abandoned, running, done = post_ids = create_posts(author, 5)
    past, future = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    set_state(dead, JobState.DEAD, error="boom", attempts=11, last_follower_id=1)
    set_state(waiting, JobState.PENDING, due_at=future)
    set_state(abandoned, JobState.RUNNING, due_at=past)
    set_state(running, JobState.RUNNING, due_at=future)
    set_state(done, JobState.DONE)
    lose_tasks(redis_broker)
    user = create_staff("Operator", username="otto")
    (message,) = run_bulk_action(admin_client(user), LIST_URL, "resume", *post_ids)
    parts = ("Dead letters requeued: 1", "waiting fan-outs resumed: 2", "skipped because done or running: 2.")
    assert message == "; ".join(parts)
    assert redis_broker.llen("fan_out") == 1
    states = dict(FanOut.objects.values_list("pk", "state"))
    assert (states[dead], states[running], states[done]) == (JobState.PENDING, JobState.RUNNING, JobState.DONE)
    assert FanOut.objects.get(pk=dead).last_follower_id == 1, "the checkpoint is kept"
    entry = AuditEntry.objects.get()  # only requeued dead letters leave an entry
    assert (entry.actor_name, entry.action, entry.target_type, entry.user_id) == (
        "otto",
        "resume",
        "fan_out",
        author.pk,
    )
    assert (entry.target_id, entry.before, entry.after) == (dead, {"state": "dead letter"}, {"state": "pending"})
    deliver(waiting)
    assert waiting in read_feed(reader)


def test_resume_and_its_audit_entry_commit_together(author: User) -> None:
    dead = create_posts(author)[0]
    set_state(dead, JobState.DEAD)
    with patch("feeds.admin_actions.audit.record", side_effect=RuntimeError), pytest.raises(RuntimeError):
        admin_actions.resume_fan_outs([dead], create_staff())
    assert FanOut.objects.get(pk=dead).state == JobState.DEAD


def test_resume_without_a_broker_is_left_to_the_sweep(author: User) -> None:
    dead = create_posts(author)[0]
    set_state(dead, JobState.DEAD)
    with patch("celery.Celery.send_task", side_effect=redis.ConnectionError):
        assert admin_actions.resume_fan_outs([dead], create_staff()) == ResumeResult(requeued=1, waiting=0, skipped=0)
    deliver_all()
    assert FanOut.objects.get(pk=dead).state == JobState.DONE


def test_only_operators_can_resume(author: User) -> None:
    post = create_posts(author)[0]
    set_state(post, JobState.DEAD)
    assert moderator_client().get(LIST_URL).status_code == 403
    user = create_staff()
    user.user_permissions.add(Permission.objects.get(codename="view_fanout"))
    viewer = admin_client(user)
    assert listed_ids(viewer) == [post]
    assert "Resume" not in get_change_page(viewer, post)
    assert run_bulk_action(viewer, LIST_URL, "resume", post) == []
    assert FanOut.objects.get(pk=post).state == JobState.DEAD
    assert not AuditEntry.objects.exists()
