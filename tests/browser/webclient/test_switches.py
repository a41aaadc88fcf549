"""Likes, saves and follows that are switched faster than the site answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.webclient.client_window import DOUBLE_TAP, FAILED_REQUEST, SHORTEN_TIMEOUT, ClientWindow, refuse
from tests.browser.webclient.conftest import OpenWindow
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg


@dataclass(frozen=True)
class Switch:
    """`on` and `off` are the labels of the button that switches on and off."""

    path: str
    calls: str
    on: str
    off: str


LIKE = Switch("/p/{post}", "**/posts/{post}/like", "Like", "Unlike")
SAVE = Switch("/p/{post}", "**/posts/{post}/save", "Save", "Remove from saved posts")
COMMENT_LIKE = Switch("/p/{post}", "**/comments/{comment}/like", "Like the comment", "Unlike the comment")
FOLLOW = Switch("/@{author}", "**/users/{author}/follow", "Follow: {author}", "Following: {author}")
each_switch = pytest.mark.parametrize(
    "switch", [LIKE, SAVE, COMMENT_LIKE, FOLLOW], ids=["like", "save", "like of a comment", "follow"]
)


class HeldCalls:
    """The calls of an address that change something, each held until the test answers it."""

    def __init__(self, page: Page, address: str) -> None:
        self._page = page
        self._routes: list[Route] = []
        page.route(address, self._hold)

    def _hold(self, route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
        else:
            self._routes.append(route)

    def _methods(self) -> list[str]:
        self._page.evaluate("true")  # handles what the browser has reported
        return [route.request.method for route in self._routes]

    def wait_for(self, *methods: str) -> Route:
        """Wait until the page has sent as many calls, check that it has sent these, and return the last of them."""
        eventually(lambda: len(self._methods()) >= len(methods))
        assert self._methods() == list(methods)
        return self._routes[-1]


def pass_on(call: Route) -> None:
    """Let the site answer a call, and wait for its answer."""
    call.continue_()
    response = call.request.response()
    assert response
    response.finished()


@pytest.fixture
def names(admin_stack: LiveStack) -> dict[str, str]:
    """A user, a post with a picture and a comment."""
    author = HttpUser(admin_stack)
    media_id = author.call("POST", "/media", files={"file": ("a.jpg", jpeg(), "image/jpeg")}).json()["id"]
    post_id = author.call("POST", "/posts", json={"caption": "to like", "media": [media_id]}).json()["id"]
    comment = author.call("POST", f"/posts/{post_id}/comments", json={"text": "to like too"}).json()
    return {"author": author.username, "post": post_id, "comment": comment["id"]}


def open_switch(window: ClientWindow, switch: Switch, names: dict[str, str]) -> tuple[HeldCalls, str, str]:
    """Open the page of the switch. Return its calls and the labels of its button."""
    window.page.goto(switch.path.format(**names))
    held = HeldCalls(window.page, switch.calls.format(**names))
    return held, switch.on.format(**names), switch.off.format(**names)


@each_switch
def test_newest_wish_is_sent_when_the_former_is_answered(
    open_window: OpenWindow, reader: HttpUser, names: dict[str, str], switch: Switch
) -> None:
    window = open_window(reader)
    held, on, off = open_switch(window, switch, names)
    window.button(on).click()
    window.button(off).click()
    expect(window.button(on)).to_be_visible()
    held.wait_for("POST").continue_()
    last = held.wait_for("POST", "DELETE")
    expect(window.button(on)).to_be_visible()
    pass_on(last)
    expect(window.button(on)).to_be_visible()
    window.page.reload()
    expect(window.button(on)).to_be_visible()


@pytest.mark.parametrize(
    ("path", "calls", "label"),
    [
        ("/settings/privacy", "**/api/v1/me", "Private account"),
        ("/settings/notifications", "**/api/v1/me/preferences", "Likes in the app"),
    ],
)
def test_newest_setting_is_sent_when_the_former_is_answered(
    open_window: OpenWindow, reader: HttpUser, path: str, calls: str, label: str
) -> None:
    window = open_window(reader)
    window.page.goto(path)
    box = window.page.get_by_label(label)
    was_checked = box.is_checked()
    held = HeldCalls(window.page, calls)
    for is_checked in (not was_checked, was_checked):
        box.click()
        expect(box).to_be_checked(checked=is_checked)
    held.wait_for("PATCH").continue_()
    pass_on(held.wait_for("PATCH", "PATCH"))
    expect(box).to_be_checked(checked=was_checked)
    window.page.unroute(calls)
    window.page.reload()
    expect(box).to_be_checked(checked=was_checked)


def test_wish_that_is_sent_already_is_sent_once(
    open_window: OpenWindow, reader: HttpUser, names: dict[str, str]
) -> None:
    window = open_window(reader)
    held, on, off = open_switch(window, LIKE, names)
    post = window.post(names["post"])
    window.button(on).click()
    window.button(off).click()
    expect(post.get_by_text("0 likes")).to_be_visible()
    post.locator(".picture").first.evaluate(DOUBLE_TAP)
    expect(post.get_by_text("1 like")).to_be_visible()
    call = held.wait_for("POST")
    HttpUser(reader.stack).call("POST", f"/posts/{names['post']}/like")
    call.continue_()
    expect(post.get_by_text("2 likes")).to_be_visible()
    held.wait_for("POST")
    expect(window.button(off)).to_be_visible()


@pytest.mark.parametrize("switch", [LIKE, FOLLOW], ids=["like", "follow"])
def test_switch_shows_what_the_site_has_after_a_lost_answer(
    open_window: OpenWindow, reader: HttpUser, names: dict[str, str], switch: Switch
) -> None:
    window = open_window(reader)
    window.expected_errors.append(FAILED_REQUEST)
    held, on, off = open_switch(window, switch, names)
    window.button(on).click()
    call = held.wait_for("POST")
    call.fetch()
    refuse(call)
    expect(window.page.get_by_text("Not now.")).to_be_visible()
    expect(window.button(off)).to_be_visible()


@each_switch
def test_failed_wish_returns_to_what_was_answered_before(
    open_window: OpenWindow, reader: HttpUser, names: dict[str, str], switch: Switch
) -> None:
    window = open_window(reader)
    window.expected_errors.append(FAILED_REQUEST)
    held, on, off = open_switch(window, switch, names)
    window.button(on).click()
    window.button(off).click()
    held.wait_for("POST").continue_()
    refuse(held.wait_for("POST", "DELETE"))
    expect(window.page.get_by_text("Not now.")).to_be_visible()
    expect(window.button(off)).to_be_visible()


def test_call_without_an_answer_does_not_hold_back_the_newest_wish(
    open_window: OpenWindow, reader: HttpUser, names: dict[str, str]
) -> None:
    window = open_window(reader)
    held, on, _ = open_switch(window, LIKE, names)
    window.page.evaluate(SHORTEN_TIMEOUT)
    window.button(on).evaluate(DOUBLE_TAP)
    held.wait_for(*["POST"] * 3, *["DELETE"] * 3)
    expect(window.page.get_by_text("The site does not answer.")).to_be_visible()
    expect(window.button(on)).to_be_visible()


def test_comment_shows_a_like_that_is_answered_after_going_back(
    open_window: OpenWindow, reader: HttpUser, names: dict[str, str]
) -> None:
    window = open_window(reader)
    held, on, off = open_switch(window, COMMENT_LIKE, names)
    window.button(on).click()
    call = held.wait_for("POST")
    window.page.get_by_role("link", name="Explore").click()
    window.page.wait_for_url("**/explore")
    window.page.go_back()
    expect(window.button(off)).to_be_visible()
    pass_on(call)
    expect(window.button(off)).to_be_visible()


def test_list_shows_a_follow_after_going_back(open_window: OpenWindow, reader: HttpUser, names: dict[str, str]) -> None:
    window = open_window(reader)
    window.page.goto(f"/search?q={names['author']}")
    window.button(f"Follow: {names['author']}").click()
    expect(window.button(f"Following: {names['author']}")).to_be_visible()
    window.page.get_by_role("link", name="Explore").click()
    window.page.wait_for_url("**/explore")
    window.page.go_back()
    expect(window.button(f"Following: {names['author']}")).to_be_visible()
