"""Who a window of the web client belongs to: signing out, another user, other tabs, a site that does not answer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.webclient.client_window import FAILED_REQUEST, expect_visitor, refuse
from tests.browser.webclient.conftest import OpenWindow
from tests.support.http_user import PASSWORD, HttpUser
from tests.support.live_stack import LiveStack

SESSION = "**/api/v1/auth/session"
_KEPT = """async () => {
    const names = (await caches.keys()).filter((name) => !name.startsWith("shell-"));
    const kept = (await Promise.all(names.map(async (name) => (await caches.open(name)).keys()))).flat();
    return localStorage.length + kept.filter(({ url }) => !url.endsWith("/api/v1/instance")).length; // for all users
}"""
_NO_STORAGE = "for (const name of ['setItem', 'clear']) Storage.prototype[name] = () => { throw new Error('full'); };"


def expect_signed_in(page: Page, user: HttpUser) -> None:
    expect(page.get_by_role("navigation").get_by_role("link", name="Profile")).to_have_attribute(
        "href", f"/@{user.username}"
    )


def test_nothing_of_the_user_is_left_after_signing_out(
    open_window: OpenWindow, user: HttpUser, other: HttpUser
) -> None:
    author = HttpUser(user.stack)
    author.call("PATCH", "/me", json={"is_private": True})
    user.call("POST", f"/users/{author.username}/follow")
    author.call("POST", f"/me/follow-requests/{user.username}/accept")
    post_id = author.create_post("for followers only")
    window = open_window(user)
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    window.wait_for_service_worker()
    page.reload()
    window.post(post_id).get_by_role("link", name="Comments", exact=True).click()
    page.wait_for_url("**/p/*")
    page.get_by_role("link", name="Profile").click()
    page.get_by_role("link", name="Settings").click()
    window.button("Sign out").click()
    expect_visitor(page)
    assert page.evaluate(_KEPT) == 0

    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("Username or email address").fill(other.username)
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Sign in").click()
    expect_signed_in(page, other)
    shown = []
    while f"/p/{post_id}" not in page.url:
        page.go_back()
        window.settle()
        shown.append(page.get_by_text("for followers only").count())
    assert shown == [0] * len(shown)


@pytest.mark.parametrize("stores", [True, False], ids=["", "storage full"])
def test_tab_does_not_act_for_the_user_of_another_tab(
    open_window: OpenWindow, user: HttpUser, other: HttpUser, stores: bool
) -> None:
    window = open_window()
    window.expected_errors.append(FAILED_REQUEST)
    if not stores:  # so tabs learn nothing of each other
        window.context.add_init_script(_NO_STORAGE)
    window.sign_in(user.username)
    tab = window.context.new_page()
    tab.goto("/settings")
    tab.get_by_role("button", name="Sign out").click()
    expect_visitor(tab)
    if stores:
        expect_visitor(window.page)
    tab.goto("/login")
    tab.get_by_label("Username or email address").fill(other.username)
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Sign in", exact=True).click()
    expect_signed_in(tab, other)
    if not stores:
        window.page.get_by_role("navigation").get_by_role("link", name="Explore").click()
        expect_signed_in(window.page, other)


def test_signing_out_without_a_connection_is_not_pretended(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user)
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    page.goto("/settings")
    expect(window.button("Sign out")).to_be_visible()
    window.context.set_offline(True)
    window.button("Sign out").click()
    expect(page.get_by_text("You are still signed in.")).to_be_visible()
    window.context.set_offline(False)
    window.button("Sign out").click()
    expect_visitor(page)
    page.reload()
    expect_visitor(page)


def test_client_opened_without_a_connection_works_when_it_is_back(open_window: OpenWindow, user: HttpUser) -> None:
    user.create_post("kept for later")
    window = open_window(user)
    page = window.page
    window.wait_for_service_worker()
    page.reload()
    expect(page.get_by_text("kept for later")).to_be_visible()
    window.wait_until_kept("/api/v1/feed")
    window.context.set_offline(True)
    page.reload()
    expect(page.get_by_text("kept for later")).to_be_visible()
    window.context.set_offline(False)
    page.get_by_role("link", name="Search").click()
    page.get_by_label("Accounts and #hashtags").fill(user.username)
    expect(page.get_by_role("list", name="Accounts").get_by_text(user.username)).to_be_visible()


def test_page_opens_while_the_site_refuses(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user)
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    page.route(SESSION, refuse)
    page.goto("/explore")
    expect(page.get_by_role("alert")).to_contain_text("Not now.")
    page.unroute(SESSION)
    window.button("Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect_signed_in(page, user)


def test_pictures_are_shown_when_the_browser_keeps_no_more(open_window: OpenWindow, admin_stack: LiveStack) -> None:
    window = open_window()
    window.expected_errors.append(FAILED_REQUEST)
    window.context.route(
        "**/service-worker.js",
        lambda route: route.fulfill(
            response=(answer := route.fetch()),
            body="Cache.prototype.put = async () => { throw new DOMException('full', 'QuotaExceededError'); };\n"
            + answer.text(),
        ),
    )
    window.sign_in("demo")
    window.wait_for_service_worker()
    window.page.reload()
    expect(window.page.locator(".picture[data-state=loaded]").first).to_be_visible()
