"""The settings of notifications, and what the service worker shows.

Chromium subscribes at Google's push service only. So here the page has a push manager of the test, whose subscription
the site accepts, and messages come from the browser's developer tools.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.webclient.client_window import ClientWindow, expect_visitor
from tests.browser.webclient.conftest import OpenWindow
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.push_service import Browser as PushBrowser

_SHOWN = """async () => {
    const registration = await navigator.serviceWorker.ready;
    const shown = await registration.getNotifications();
    return shown.map(({ title, body, tag }) => ({ title, body, tag }));
}"""


# Calls noteEnd(endpoint) when a subscription ends.
_PUSH_MANAGER = """(subscription) => {
    let current = null;
    const unsubscribe = async () => {
        current = null;
        await window.noteEnd(subscription.endpoint);
        return true;
    };
    PushManager.prototype.getSubscription = async () => current;
    PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
        window.usedKey = applicationServerKey;
        current = { ...subscription, toJSON: () => subscription, unsubscribe };
        return current;
    };
}"""


@pytest.fixture
def user(admin_stack: LiveStack) -> HttpUser:
    return HttpUser(admin_stack)


def test_kinds_are_turned_off_and_stay_off(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user, width=390)
    page = window.page
    page.goto("/settings/notifications")
    expect(window.button("Notify me on this device")).to_be_visible()
    page.get_by_label("Likes on devices").uncheck()
    page.get_by_label("New followers in the app").uncheck()
    expect(page.get_by_label("New followers on devices")).to_be_disabled()
    expect(page.get_by_label("Warnings by moderators in the app")).to_be_disabled()
    expected = {"like": {"in_app": True, "push": False}, "follow": {"in_app": False, "push": True}}
    eventually(lambda: expected.items() <= user.get("/me/preferences")["notifications"].items())
    page.reload()
    expect(page.get_by_label("Likes on devices")).not_to_be_checked()
    expect(page.get_by_label("Likes in the app")).to_be_checked()


class PushedWindow:
    """A window whose service worker gets push messages from the browser's developer tools."""

    def __init__(self, window: ClientWindow) -> None:
        self.window, self.registrations = window, list[str]()
        window.context.grant_permissions(["notifications"])
        window.page.evaluate("async () => void (await navigator.serviceWorker.ready)")
        self._tools = window.context.new_cdp_session(window.page)
        self._tools.on("ServiceWorker.workerRegistrationUpdated", self._note)
        self._tools.send("ServiceWorker.enable")
        while not self.registrations:
            window.page.wait_for_timeout(50)

    def _note(self, event: dict[str, Any]) -> None:
        self.registrations += [each["registrationId"] for each in event["registrations"] if not each["isDeleted"]]

    def deliver(self, **message: Any) -> None:
        target = {"origin": self.window.stack.base_url, "registrationId": self.registrations[-1]}
        self._tools.send("ServiceWorker.deliverPushMessage", {**target, "data": json.dumps(message)})

    def shown(self) -> list[dict[str, str]]:
        shown: list[dict[str, str]] = self.window.page.evaluate(_SHOWN)
        return shown


def test_push_message_is_a_sentence_and_replaces_the_one_before(open_window: OpenWindow, user: HttpUser) -> None:
    pushed = PushedWindow(open_window(user))
    pushed.deliver(kind="like", id="1", tag="7", unread=1)
    expected = {"title": "Someone liked what you posted", "body": "", "tag": "7"}
    eventually(lambda: pushed.shown() == [expected])
    pushed.deliver(kind="like", id="2", tag="7", unread=2)
    eventually(lambda: pushed.shown() == [expected | {"body": "2 unread notifications"}])
    pushed.deliver(kind="a_newer_kind", id="3", tag="8", unread=1)
    eventually(lambda: sorted(each["title"] for each in pushed.shown())[-1] == "You have a new notification")


def test_click_on_a_message_opens_the_list(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user)
    window.wait_for_service_worker()  # it finds only windows that it controls
    eventually(lambda: window.page.evaluate("true") and window.context.service_workers)
    (worker,) = window.context.service_workers
    worker.evaluate("() => openList().catch(() => null)")  # it may focus the window only after a real click
    window.page.wait_for_url("**/notifications")


def test_device_is_subscribed_until_the_user_signs_out(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user)
    page = window.page
    window.context.grant_permissions(["notifications"])
    page.goto("/settings/notifications")
    browser = PushBrowser(f"https://fcm.googleapis.com/fcm/send/{user.id}", "")
    ended: list[str] = []
    page.expose_function("noteEnd", lambda endpoint: ended.append(endpoint))
    page.evaluate(_PUSH_MANAGER, browser.subscription)

    def subscriptions() -> list[str]:
        return [each["push_service"] for each in user.get("/me/export")["push_subscriptions"]]

    window.button("Notify me on this device").click()
    expect(window.button("Stop notifying me on this device")).to_be_visible()
    assert subscriptions() == ["https://fcm.googleapis.com"]
    assert page.evaluate("window.usedKey") == user.get("/push/key")["key"]
    window.button("Stop notifying me on this device").click()
    expect(window.button("Notify me on this device")).to_be_visible()
    assert subscriptions() == []
    assert ended == [browser.subscription["endpoint"]]
    window.button("Notify me on this device").click()
    expect(window.button("Stop notifying me on this device")).to_be_visible()
    page.get_by_role("link", name="All settings").click()
    window.button("Sign out").click()
    expect_visitor(page)
    assert subscriptions() == []
    assert ended == [browser.subscription["endpoint"]] * 2
