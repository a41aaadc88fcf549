"""Pages whose data could not be loaded: they offer to try again, or are not found."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.webclient.client_window import FAILED_REQUEST, refuse
from tests.browser.webclient.conftest import OpenWindow
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

PICTURE_IN_PROCESS = dict.fromkeys(("url", "width", "height", "blurhash"), None) | {
    "id": "1",
    "kind": "image",
    "alt_text": "",
    "variants": {},
}


@pytest.mark.parametrize(
    ("path", "call", "content"),
    [
        ("/@{author}", "/users/{author}", "a post to load"),
        ("/p/{post}", "/posts/{post}", "a post to load"),
        ("/settings/notifications", "/me/preferences", "What you are notified of"),
        ("/settings/data", "/me/exports", "Make a ZIP file"),
    ],
)
def test_page_loads_on_another_try(
    open_window: OpenWindow, admin_stack: LiveStack, path: str, call: str, content: str
) -> None:
    author = HttpUser(admin_stack)
    names = {"author": author.username, "post": author.create_post("a post to load")}
    window = open_window(HttpUser(admin_stack))
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    api = "**/api/v1" + call.format(**names)
    page.route(api, refuse)
    page.goto(path.format(**names))
    expect(page.get_by_role("alert")).to_contain_text("Not now.")
    page.unroute(api)
    page.evaluate("window.isSamePage = true")
    window.button("Try again").click()
    expect(page.get_by_text(content).first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert page.evaluate("window.isSamePage")


def test_registration_loads_on_another_try(open_window: OpenWindow) -> None:
    window = open_window(has_service_worker=False)  # it would fetch the page's second call, if it starts soon enough
    window.expected_errors.append(FAILED_REQUEST)
    window.page.route("**/api/v1/instance", refuse)
    window.page.goto("/register")
    expect(window.page.get_by_role("alert")).to_contain_text("Not now.")
    window.page.unroute("**/api/v1/instance")
    window.button("Try again").click()
    expect(window.page.get_by_label("Email address")).to_be_visible()


def test_page_of_a_post_that_is_deleted_while_its_picture_is_processed_stays_not_found(
    open_window: OpenWindow, admin_stack: LiveStack
) -> None:
    author = HttpUser(admin_stack)
    post_id = author.create_post("to be deleted")
    window = open_window(author)
    window.expected_errors.append("status of 404")
    page = window.page
    page.clock.install()
    api = f"**/api/v1/posts/{post_id}"
    unready = author.get(f"/posts/{post_id}") | {"media": [PICTURE_IN_PROCESS]}
    page.route(api, lambda route: route.fulfill(json=unready))
    page.goto(f"/p/{post_id}")
    expect(page.get_by_text("to be deleted")).to_be_visible()
    page.unroute(api)
    author.call("DELETE", f"/posts/{post_id}")
    calls: list[str] = []
    page.on("request", lambda request: calls.append(request.url))
    page.clock.fast_forward(5_000)
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    calls.clear()
    for _ in range(5):
        page.clock.fast_forward(5_000)
        page.wait_for_timeout(100)
    assert [url for url in calls if f"/posts/{post_id}" in url] == []
