"""GET /push/key, POST and DELETE /push/subscriptions, and the end of subscriptions with their sessions."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from accounts import sessions
from accounts.models import Session
from social.models import PushSubscription
from social.push import subscriptions
from social.push.endpoints import is_allowed
from tests.support.api_user import ApiUser
from tests.support.client_response import ClientResponse
from tests.support.push_service import Browser, decode, encode, new_private_key, point

pytestmark = pytest.mark.django_db
PATH = "/push/subscriptions"


@pytest.fixture(autouse=True)
def key(settings: Any) -> Iterator[str]:
    settings.VAPID_PRIVATE_KEY = new_private_key()
    return settings.VAPID_PRIVATE_KEY


def new_browser() -> Browser:
    return Browser(f"https://fcm.googleapis.com/fcm/send/{secrets.token_urlsafe(30)}:APA91b", "")


def subscribe(user: ApiUser, browser: Browser) -> ClientResponse:
    return user.call("post", PATH, browser.subscription)


def subscribed(user: ApiUser) -> list[str]:
    rows = PushSubscription.objects.filter(user_id=user.id, session__user=user.id)
    return list(rows.order_by("pk").values_list("endpoint", flat=True))


def errors_of(response: ClientResponse) -> list[tuple[str, str]]:
    assert response.status_code == 400
    return [(error["attr"], error["code"]) for error in response.json()["errors"]]


def test_key_is_the_public_key_of_the_setting(key: str) -> None:
    private_key = ec.derive_private_key(int.from_bytes(decode(key), "big"), ec.SECP256R1())
    assert ApiUser().get("/push/key") == {"key": encode(point(private_key.public_key()))}


def test_push_is_404_without_a_key(settings: Any) -> None:
    settings.VAPID_PRIVATE_KEY = ""
    user = ApiUser()
    for method, path in (("get", "/push/key"), ("post", PATH), ("delete", PATH)):
        assert user.call(method, path, None if method == "get" else {}).status_code == 404
    assert "push" not in user.get("/instance")["features"]


def test_instance_says_that_push_is_on() -> None:
    assert "push" in ApiUser().get("/instance")["features"]


def test_subscribing_again_updates_the_keys() -> None:
    user, browser = ApiUser(), new_browser()
    assert subscribe(user, browser).status_code == 201
    browser.auth = secrets.token_bytes(16)
    response = subscribe(user, browser)
    assert (response.status_code, response.json()) == (200, {"endpoint": browser.endpoint})
    row = PushSubscription.objects.get()
    assert (bytes(row.auth), row.user_id) == (browser.auth, user.id)


def test_browser_moves_to_the_user_who_signs_in() -> None:
    alice, bob, browser = ApiUser(), ApiUser(), new_browser()
    subscribe(alice, browser)
    assert subscribe(bob, browser).status_code == 201
    assert (subscribed(alice), subscribed(bob)) == ([], [browser.endpoint])


def test_oldest_subscription_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 2)
    user, browsers = ApiUser(), [new_browser() for _ in range(3)]
    for browser in browsers:
        subscribe(user, browser)
    assert subscribed(user) == [browser.endpoint for browser in browsers[1:]]


def test_unsubscribing_ends_those_of_the_session_only() -> None:
    user, other, browsers = ApiUser(), ApiUser(), [new_browser() for _ in range(4)]
    for browser in browsers[:3]:
        subscribe(user, browser)
    subscribe(other, browsers[3])
    assert user.call("delete", PATH, {"endpoint": browsers[0].endpoint}).status_code == 204
    assert user.call("delete", PATH, {"endpoint": browsers[3].endpoint}).status_code == 204
    assert subscribed(user) == [browser.endpoint for browser in browsers[1:3]]
    assert user.call("delete", PATH).status_code == 204
    assert (subscribed(user), subscribed(other)) == ([], [browsers[3].endpoint])


def test_subscription_ends_with_its_session() -> None:
    user, browser, other_browser = ApiUser(), new_browser(), new_browser()
    subscribe(user, browser)
    first = dict(user.headers)
    user.headers = {"Authorization": f"Bearer {sessions.start(user.user).access}"}
    subscribe(user, other_browser)
    assert user.call("delete", "/me/sessions").status_code == 204
    assert subscribed(user) == [other_browser.endpoint]
    user.headers = first
    assert subscribe(user, browser).status_code == 401


def test_session_that_ends_meanwhile_gets_no_subscription() -> None:
    user = ApiUser()
    session = Session.objects.get(user=user.id)
    sessions.end_one(user.id, session.pk)
    with pytest.raises(subscriptions.SessionEnded):
        subscriptions.subscribe(user.id, session.pk, new_browser().endpoint, b"", b"")


def test_subscription_of_an_expired_session_is_deleted_with_it() -> None:
    user = ApiUser()
    subscribe(user, new_browser())
    Session.objects.update(expires_at=timezone.now())
    sessions.delete_expired()
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize(
    ("part", "value", "error"),
    [
        ("p256dh", "", ("keys.p256dh", "blank")),
        ("p256dh", "!" * 87, ("keys.p256dh", "invalid")),
        ("p256dh", encode(b"\4" + bytes(64)), ("keys.p256dh", "invalid")),  # not on the curve
        ("p256dh", encode(b"\2" + bytes(32)), ("keys.p256dh", "invalid")),
        ("p256dh", "A" * 300, ("keys.p256dh", "invalid")),
        ("auth", encode(bytes(15)), ("keys.auth", "invalid")),
        ("auth", encode(bytes(17)), ("keys.auth", "invalid")),
        ("auth", 4711, ("keys.auth", "invalid")),
        ("auth", None, ("keys.auth", "null")),
    ],
)
def test_wrong_keys_are_refused(part: str, value: Any, error: tuple[str, str]) -> None:
    body = new_browser().subscription
    body["keys"][part] = value
    assert errors_of(ApiUser().call("post", PATH, body)) == [error]


def test_incomplete_subscription_is_refused() -> None:
    assert errors_of(ApiUser().call("post", PATH, {})) == [("endpoint", "required"), ("keys", "required")]


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:APA91b",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAA-_",
        "https://web.push.apple.com/QKC1Muic",
        "https://wns2-par02p.notify.windows.com/w/?token=BQYAAA%3d%2b",
    ],
)
def test_endpoints_of_known_services_are_allowed(endpoint: str) -> None:
    assert is_allowed(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/send/1",
        "https://fcm.googleapis.com:8443/send/1",
        "https://fcm.googleapis.com",
        "https://evilfcm.googleapis.com.example/send",
        "https://notfcm.googleapis.com/send",
        "https://fcm.googleapis.com@127.0.0.1/send",
        "https://127.0.0.1\\@fcm.googleapis.com/send",
        "https://127.0.0.1#.fcm.googleapis.com/send",
        "https://127.0.0.1?.fcm.googleapis.com/send",
        "https://fcm.googleapis.com/send\r\nHost: localhost",
        "https://fcm.googleapis.com/send\n",
        "https://fcm.googleapis.com./send",
        "https://FCM.googleapis.com/send",
        "https://[::1]/send",
        "http://169.254.169.254/latest/meta-data",
        "https://localhost/send",
        "file:///etc/passwd",
        "//fcm.googleapis.com/send",
        "https://fcm.googleapis.com/" + "a" * 1024,
        "https://fcm.googleapis.com/ä",
    ],
)
def test_other_addresses_are_refused(endpoint: str) -> None:
    """A user must not make the site's workers send requests into its network."""
    assert not is_allowed(endpoint)
    response = ApiUser().call("post", PATH, {**new_browser().subscription, "endpoint": endpoint})
    assert errors_of(response)[0][0] == "endpoint"


def test_origin_of_the_setting_is_allowed_as_written(settings: Any) -> None:
    settings.PUSH_SERVICES = ["http://127.0.0.1:9000", "push.example.org"]
    assert is_allowed("http://127.0.0.1:9000/push/1")
    assert is_allowed("https://a.push.example.org/1")
    assert not is_allowed("http://127.0.0.1:9001/push/1")
    assert not is_allowed("https://127.0.0.1:9000/push/1")
    assert not is_allowed("http://a.127.0.0.1:9000/push/1")
    assert not is_allowed("https://fcm.googleapis.com/1")
