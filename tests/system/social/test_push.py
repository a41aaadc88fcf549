"""Push messages through the complete stack: from a like to the browser, and the end of a subscription."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.push_service import Browser, PushService

pytestmark = pytest.mark.restarts_a_program


@pytest.fixture(scope="module")
def service(live_stack: LiveStack) -> Iterator[PushService]:
    with PushService() as service:
        settings = {"PUSH_SERVICES": service.origin, "LOG_LEVEL": "DEBUG"}
        with live_stack.restarted("web", **settings), live_stack.restarted("worker", **settings):
            yield service


def open_browser(service: PushService, user: HttpUser) -> Browser:
    browser = service.open_browser(user.get("/push/key")["key"])
    assert user.call("POST", "/push/subscriptions", json=browser.subscription).status_code == 201
    return browser


def is_subscribed(stack: LiveStack, browser: Browser) -> bool:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        query = "SELECT count(*) FROM social_pushsubscription WHERE endpoint = %s"
        return connection.execute(query, [browser.endpoint]).fetchone() == (1,)


def like(fan: HttpUser, post_id: str) -> None:
    assert fan.call("POST", f"/posts/{post_id}/like").status_code == 200


def test_like_reaches_the_browser_without_names(live_stack: LiveStack, service: PushService) -> None:
    author, fan = HttpUser(live_stack), HttpUser(live_stack)
    assert "push" in author.get("/instance")["features"]
    browser = open_browser(service, author)
    like(fan, author.create_post("a secret garden"))
    eventually(lambda: browser.messages)
    live_stack.wait_for_replica()
    (entry,) = author.get("/notifications")["results"]
    message: dict[str, Any] = browser.messages[0]
    assert message.keys() == {"kind", "id", "tag", "unread"}
    assert (message["kind"], message["id"], message["unread"]) == ("like", entry["id"], 1)


def test_browser_gets_nothing_after_its_session_has_ended(live_stack: LiveStack, service: PushService) -> None:
    author, fan = HttpUser(live_stack), HttpUser(live_stack)
    ended, post_id = open_browser(service, author), author.create_post()
    tokens = live_stack.post("/api/v1/auth/token", json=author.credentials).json()
    author.headers = {"Authorization": f"Bearer {tokens['access']}"}
    other = open_browser(service, author)
    assert author.call("DELETE", "/me/sessions").status_code == 204
    like(fan, post_id)
    eventually(lambda: other.messages)
    assert ended.requests == 0


def test_browser_that_is_gone_is_asked_once(live_stack: LiveStack, service: PushService) -> None:
    author, fan = HttpUser(live_stack), HttpUser(live_stack)
    gone, other = open_browser(service, author), open_browser(service, author)
    gone.answer(410)
    like(fan, author.create_post())
    eventually(lambda: other.messages and not is_subscribed(live_stack, gone))  # a worker has read the answer
    assert gone.requests == 1
    like(fan, author.create_post())
    eventually(lambda: len(other.messages) == 2)
    assert gone.requests == 1


def test_logs_have_no_endpoints_at_any_level(live_stack: LiveStack, service: PushService) -> None:
    author, fan = HttpUser(live_stack), HttpUser(live_stack)
    browser = open_browser(service, author)
    browser.answer(403)
    like(fan, author.create_post())
    eventually(lambda: browser.requests)
    refused = author.call("POST", "/push/subscriptions", json=browser.subscription | {"keys": {}})
    assert refused.status_code == httpx.codes.BAD_REQUEST
    assert author.call("DELETE", "/push/subscriptions", json={"endpoint": browser.endpoint}).status_code == 204
    secret = browser.endpoint.rsplit("/", 1)[1]
    for name in ("web", "worker"):
        assert secret not in live_stack.log(name).read_text(errors="replace")
