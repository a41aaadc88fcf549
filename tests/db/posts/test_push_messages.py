"""Push messages, from the event to the browser, with a real push service: what is sent, to whom, and when not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from django.utils import timezone

from accounts.models import Session, User
from instafeed.core.jobs.leased import JobState
from posts import push_messages
from social.models import OutgoingPush, PushSubscription
from social.push import delivery, outbox, subscriptions
from tests.db.social.notification_setup import consume_all_events
from tests.support.api_user import ApiUser
from tests.support.database_clock import assert_sets_ahead
from tests.support.leased_jobs import make_due
from tests.support.metric_values import MetricChange
from tests.support.push_service import Browser, PushService, decode, decrypt, ec, new_private_key

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running_service() -> Iterator[PushService]:
    with PushService() as service:
        yield service


@pytest.fixture
def service(running_service: PushService, settings: Any, monkeypatch: pytest.MonkeyPatch) -> PushService:
    monkeypatch.setattr(delivery, "http", urllib3.PoolManager(timeout=60, retries=False))  # production waits less long
    settings.VAPID_PRIVATE_KEY = new_private_key()
    settings.PUSH_SERVICES = [running_service.origin]
    return running_service


@pytest.fixture
def author(service: PushService) -> ApiUser:
    return ApiUser(username="author", display_name="Ada Lovelace")


@pytest.fixture
def browser(service: PushService, author: ApiUser) -> Browser:
    return open_browser(service, author)


def open_browser(service: PushService, user: ApiUser) -> Browser:
    browser = service.open_browser(user.get("/push/key")["key"])
    assert user.call("post", "/push/subscriptions", browser.subscription).status_code == 201
    return browser


def send_pushes() -> None:
    """Apply the events, and send what is due."""
    consume_all_events()
    push_messages.send_due()


def the_push() -> OutgoingPush:
    return OutgoingPush.objects.get()


def outcomes(outcome: str) -> MetricChange:
    return MetricChange("instafeed_pushes_total", outcome=outcome)


def test_like_arrives_without_names_and_texts(author: ApiUser, browser: Browser) -> None:
    fan, post = ApiUser(username="charles.babbage"), author.create_post("a secret garden")
    fan.like(post)
    sent = outcomes("sent")
    send_pushes()
    (entry,) = author.get("/notifications")["results"]
    (message,) = browser.messages
    assert message == {"kind": "like", "id": entry["id"], "tag": message["tag"], "unread": 1}
    (headers,) = browser.headers
    assert 86_000 < int(headers["ttl"]) <= 86_400
    assert (headers["urgency"], headers["topic"]) == ("normal", f"n{message['tag']}")
    assert sent.by == 1
    send_pushes()
    assert len(browser.messages) == 1


def test_all_browsers_of_the_recipient_and_no_others_get_it(
    service: PushService, author: ApiUser, browser: Browser
) -> None:
    fan = ApiUser()
    others = open_browser(service, fan), open_browser(service, ApiUser())
    second = open_browser(service, author)
    fan.like(author.create_post())
    send_pushes()
    assert [len(each.messages) for each in (browser, second, *others)] == [1, 1, 0, 0]


def test_unread_counts_visible_notifications(author: ApiUser, browser: Browser) -> None:
    fan = ApiUser()
    fan.like(author.create_post())
    fan.create_comment(author.create_post())
    send_pushes()
    assert sorted((message["kind"], message["unread"]) for message in browser.messages) == [("comment", 2), ("like", 2)]


def test_further_likes_share_a_message_and_wait_for_the_interval(author: ApiUser, browser: Browser) -> None:
    post = author.create_post()
    for _ in range(3):
        ApiUser().like(post)
        consume_all_events()
    send_pushes()
    assert len(browser.messages) == 1
    ApiUser().like(post)
    send_pushes()
    assert len(browser.messages) == 1, "the interval is not over"
    make_due(OutgoingPush, the_push().pk)
    push_messages.send_due()
    first, second = browser.messages
    assert first["tag"] == second["tag"]
    assert int(first["id"]) < int(second["id"])


def test_like_while_its_message_is_sent_is_not_lost(author: ApiUser, browser: Browser) -> None:
    post = author.create_post()
    ApiUser().like(post)
    consume_all_events()
    claimed = outbox.queue.claim_due(1)
    ApiUser().like(post)
    consume_all_events()
    assert outbox.queue.finish(*claimed) == 0, "the worker must not end it"
    push = the_push()
    assert push.state == JobState.PENDING
    assert push.due_at > timezone.now() + outbox.REPEAT_INTERVAL / 2
    make_due(OutgoingPush, push.pk)
    push_messages.send_due()
    assert len(browser.messages) == 1


def test_sent_messages_are_deleted_after_the_interval(author: ApiUser, browser: Browser) -> None:
    ApiUser().like(author.create_post())
    send_pushes()
    assert the_push().state == JobState.DONE
    OutgoingPush.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    push_messages.send_due()
    assert not OutgoingPush.objects.exists()


def block(author: ApiUser, fan: ApiUser) -> None:
    assert author.call("post", f"/users/{fan.username}/block").status_code == 204


def mute(author: ApiUser, fan: ApiUser) -> None:
    assert author.call("post", f"/users/{fan.username}/mute").status_code == 204


def read(author: ApiUser, fan: ApiUser) -> None:
    (entry,) = author.get("/notifications")["results"]
    assert author.call("post", "/notifications/read", {"up_to": entry["id"]}).status_code == 204


def dismiss(author: ApiUser, fan: ApiUser) -> None:
    (entry,) = author.get("/notifications")["results"]
    assert author.call("delete", f"/notifications/{entry['id']}").status_code == 204


def unlike(author: ApiUser, fan: ApiUser) -> None:
    (entry,) = author.get("/notifications")["results"]
    fan.call("delete", f"/posts/{entry['post_id']}/like")
    consume_all_events()


def delete_post(author: ApiUser, fan: ApiUser) -> None:
    (entry,) = author.get("/notifications")["results"]
    assert author.call("delete", f"/posts/{entry['post_id']}").status_code == 204


def turn_off(author: ApiUser, fan: ApiUser) -> None:
    author.call("patch", "/me/preferences", {"notifications": {"like": {"push": False}}})


def end_session(author: ApiUser, fan: ApiUser) -> None:
    Session.objects.filter(user=author.id).update(ended_at=timezone.now())  # without the signal


def expire_session(author: ApiUser, fan: ApiUser) -> None:
    Session.objects.filter(user=author.id).update(expires_at=timezone.now())


def suspend(author: ApiUser, fan: ApiUser) -> None:
    User.objects.filter(pk=author.id).update(is_active=False)


def suspend_actor(author: ApiUser, fan: ApiUser) -> None:
    User.objects.filter(pk=fan.id).update(is_active=False)


def unsubscribe(author: ApiUser, fan: ApiUser) -> None:
    assert author.call("delete", "/push/subscriptions").status_code == 204


@pytest.mark.parametrize(
    "change",
    [
        *(block, mute, read, dismiss, unlike, delete_post, turn_off),
        *(end_session, expire_session, suspend, suspend_actor, unsubscribe),
    ],
)
def test_message_that_is_no_longer_right_is_not_sent(
    author: ApiUser, browser: Browser, change: Callable[[ApiUser, ApiUser], None]
) -> None:
    fan = ApiUser()
    fan.like(author.create_post())
    consume_all_events()
    assert OutgoingPush.objects.count() == 1
    needless = outcomes("needless")
    change(author, fan)
    push_messages.send_due()
    assert browser.requests == 0
    assert not OutgoingPush.objects.exists()
    assert needless.by == 1


def test_browser_that_moved_to_another_user_gets_none_of_the_former_ones(
    service: PushService, author: ApiUser, browser: Browser
) -> None:
    ApiUser().like(author.create_post())
    consume_all_events()
    assert ApiUser().call("post", "/push/subscriptions", browser.subscription).status_code == 201
    push_messages.send_due()
    assert browser.requests == 0


def test_service_that_is_no_longer_allowed_gets_none(author: ApiUser, browser: Browser, settings: Any) -> None:
    ApiUser().like(author.create_post())
    consume_all_events()
    settings.PUSH_SERVICES = ["push.example.org"]
    push_messages.send_due()
    assert browser.requests == 0


@pytest.mark.parametrize("channel", ["in_app", "push"])
def test_kind_that_is_off_queues_nothing(author: ApiUser, browser: Browser, channel: str) -> None:
    author.call("patch", "/me/preferences", {"notifications": {"like": {channel: False}}})
    post, fan = author.create_post(), ApiUser()
    fan.like(post)
    consume_all_events()
    assert not OutgoingPush.objects.exists()
    fan.create_comment(post)
    consume_all_events()
    assert OutgoingPush.objects.count() == 1


def test_nothing_is_queued_where_push_is_off(author: ApiUser, browser: Browser, settings: Any) -> None:
    settings.VAPID_PRIVATE_KEY = ""
    ApiUser().like(author.create_post())
    consume_all_events()
    assert not OutgoingPush.objects.exists()


@pytest.mark.parametrize("status", [404, 410])
def test_gone_browser_is_unsubscribed(author: ApiUser, browser: Browser, status: int) -> None:
    browser.answer(status)
    ApiUser().like(author.create_post())
    gone = outcomes("gone")
    send_pushes()
    assert not PushSubscription.objects.exists()
    assert not OutgoingPush.objects.exists()
    assert gone.by == 1


@pytest.mark.parametrize("status", [301, 307, 400, 403, 413])
def test_refused_message_is_dropped(author: ApiUser, browser: Browser, status: int) -> None:
    browser.answer(status, Location=browser.endpoint)
    ApiUser().like(author.create_post())
    rejected = outcomes("rejected")
    send_pushes()
    assert browser.requests == 1, "redirects are not followed"
    assert not OutgoingPush.objects.exists()
    assert PushSubscription.objects.exists()
    assert rejected.by == 1


@pytest.mark.parametrize(("status", "outcome"), [(429, "throttled"), (500, "unreachable"), (503, "unreachable")])
def test_busy_service_is_tried_again_when_it_says(author: ApiUser, browser: Browser, status: int, outcome: str) -> None:
    browser.answer(status, Retry_After="120")
    ApiUser().like(author.create_post())
    failed = outcomes(outcome)
    with assert_sets_ahead(OutgoingPush.objects.all(), "due_at", timedelta(seconds=120)):
        send_pushes()
    push = the_push()
    assert push.state == JobState.PENDING
    assert str(status) in push.error
    assert browser.endpoint not in push.error
    assert failed.by == 1
    make_due(OutgoingPush, push.pk)
    push_messages.send_due()
    assert len(browser.messages) == 1


def test_failing_service_is_tried_less_and_less_often(author: ApiUser, browser: Browser) -> None:
    ApiUser().like(author.create_post())
    consume_all_events()
    for seconds in (10, 20, 40):
        browser.answer(500)
        with assert_sets_ahead(OutgoingPush.objects.all(), "due_at", timedelta(seconds=seconds)):
            push_messages.send_due()
        make_due(OutgoingPush, the_push().pk)


def test_message_is_given_up_after_a_day(author: ApiUser, browser: Browser) -> None:
    ApiUser().like(author.create_post())
    consume_all_events()
    OutgoingPush.objects.update(announced_at=timezone.now() - push_messages.TTL - timedelta(seconds=1))
    expired = outcomes("expired")
    push_messages.send_due()
    assert browser.requests == 0
    assert not OutgoingPush.objects.exists()
    assert expired.by == 1


def test_silent_service_delays_no_other_browser(
    service: PushService, author: ApiUser, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wait briefly for the silent browser only: on a busy machine the other may need long to answer."""
    patient, impatient = delivery.http, urllib3.PoolManager(timeout=0.2, retries=False)

    def request(method: str, endpoint: str, **options: Any) -> urllib3.BaseHTTPResponse:
        http = impatient if endpoint == browser.endpoint else patient
        return http.request(method, endpoint, **options)

    monkeypatch.setattr(delivery, "http", SimpleNamespace(request=request))
    second = open_browser(service, author)
    browser.answer(0)
    ApiUser().like(author.create_post())
    send_pushes()
    assert len(second.messages) == 1
    waiting = OutgoingPush.objects.get(state=JobState.PENDING)
    assert "did not answer" in waiting.error
    assert browser.endpoint not in waiting.error


def test_unreachable_service_is_retried(author: ApiUser, browser: Browser, settings: Any) -> None:
    closed = "http://127.0.0.1:1"
    settings.PUSH_SERVICES = [closed]
    PushSubscription.objects.update(endpoint=f"{closed}/push/1")
    ApiUser().like(author.create_post())
    send_pushes()
    assert (the_push().state, the_push().attempts) == (JobState.PENDING, 1)


def test_batch_takes_a_fixed_number_of_queries(
    service: PushService, author: ApiUser, browser: Browser, django_assert_num_queries: Any
) -> None:
    """Of one recipient: each further recipient costs what their unread count costs."""
    for _ in range(3):
        ApiUser().like(author.create_post())
    consume_all_events()
    with django_assert_num_queries(14):
        push_messages.send_due()
    open_browser(service, author)
    for _ in range(6):
        ApiUser().like(author.create_post())
    consume_all_events()
    with django_assert_num_queries(14):
        push_messages.send_due()
    assert len(browser.messages) == 9


def test_more_than_a_batch_is_left_to_the_next_task(
    author: ApiUser, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_messages, "BATCH_SIZE", 2)
    for _ in range(3):
        ApiUser().like(author.create_post())
    consume_all_events()
    outbox.queue.task.begin_look()
    push_messages.send_due()
    assert len(browser.messages) == 2
    assert outbox.queue.task.is_look_coming()
    push_messages.send_due()
    assert len(browser.messages) == 3


def test_erasure_deletes_subscriptions_and_messages(author: ApiUser, browser: Browser) -> None:
    ApiUser().like(author.create_post())
    consume_all_events()
    while not subscriptions.delete_of_user(author.id):
        pass
    assert not PushSubscription.objects.exists()
    assert not OutgoingPush.objects.exists()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("0", 1), ("99999999999", 3_600), ("", None), ("soon", None), ("-5", None), ("٣", None)],
)
def test_retry_after_in_seconds(value: str, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert delivery.parse_retry_after(value) == expected


def test_retry_after_as_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time())  # a date has no fractions of a second
    monkeypatch.setattr(delivery, "time", SimpleNamespace(time=lambda: now))
    in_a_minute = formatdate(now + 60, usegmt=True)
    assert delivery.parse_retry_after(in_a_minute) == timedelta(minutes=1)


def test_push_service_of_the_tests_decrypts_the_example_of_rfc_8291() -> None:
    private_key = ec.derive_private_key(
        int.from_bytes(decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big"), ec.SECP256R1()
    )
    body = decode(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A"
        "_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    text = decrypt(body, private_key, decode("BTBZMqHH6r4Tts7J_aSIgg"))
    assert text == b"When I grow up, I want to be a watermelon"
