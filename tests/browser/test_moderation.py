"""Moderation in a browser, and its effect for readers of the API."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.browser.staff_users import StaffUser
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg
from tests.system.media.test_media import status, upload

LOADED_WIDTH = "image => image.decode().then(() => image.naturalWidth)"  # waits until the picture is loaded


def post_with_picture(author: HttpUser, *, pictures: int = 1) -> str:
    media_ids = [upload(author, jpeg(1_200, 900)) for _ in range(pictures)]
    eventually(lambda: {status(author, media_id) for media_id in media_ids} == {"ready"})
    response = author.call("POST", "/posts", json={"caption": "Sunset over the harbour", "media": media_ids})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def report(reporter: HttpUser, post_id: str) -> None:
    body = {"target_type": "post", "target_id": post_id, "reason": "nudity", "note": "Please look at this."}
    assert reporter.call("POST", "/reports", json=body).status_code == 201


def shown_picture(reader: HttpUser, post_id: str) -> httpx.Response:
    """Request the picture of a post by the URL that the API gives now."""
    (picture,) = reader.get(f"/posts/{post_id}")["media"]
    return httpx.get(picture["url"], trust_env=False, timeout=60)


def open_action(page: Page, label: str) -> Locator:
    """Open the form of an action and return it."""
    page.locator("summary", has_text=re.compile(rf"^{label}(\s+suggested)?(\s+\w)?$")).click()
    return page.locator("details[open] form")


def perform_action(page: Page, label: str, reason: str) -> None:
    """Open an action on a page, enter the reason, submit it and wait for the next page."""
    form = open_action(page, label)
    form.locator("[name=reason]").fill(reason)
    with page.expect_navigation():
        form.get_by_role("button", name=label, exact=True).click()


def test_reported_picture_is_hidden_and_restored(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    author, follower = HttpUser(admin_stack, "harbour.views"), HttpUser(admin_stack)
    follower.follow(author)
    first, post, last = author.create_post("before"), post_with_picture(author), author.create_post("after")
    eventually(lambda: follower.feed() == [last, post, first])
    (picture,) = follower.get(f"/posts/{post}")["media"]
    assert httpx.get(picture["url"], trust_env=False, timeout=60).status_code == 200
    for reporter in (follower, HttpUser(admin_stack), HttpUser(admin_stack)):
        report(reporter, post)

    staff["moderator"].sign_in(page)
    page.get_by_role("link", name="Cases").first.click()
    row = page.locator("#result_list tbody tr").filter(has_text="@harbour.views")
    assert row.locator("img").evaluate(LOADED_WIDTH) == 150
    assert "nudity" in row.inner_text()
    row.locator("a").first.click()
    shown = page.get_by_role("main").locator("img").first
    assert shown.evaluate(LOADED_WIDTH) >= 640
    assert "Please look at this." in page.get_by_role("main").inner_text()

    perform_action(page, "Hide", "Not allowed here.")
    assert follower.feed() == [last, first]  # the very next read
    assert follower.call("GET", f"/posts/{post}").status_code == 404
    assert httpx.get(picture["url"], trust_env=False, timeout=60).status_code == 404
    page.goto(f"/admin/posts/post/{post}/change/")
    assert "hidden" in page.get_by_role("main").inner_text()
    kept = page.get_by_role("main").locator("img").first  # moderators still see it
    assert kept.evaluate(LOADED_WIDTH) >= 640

    perform_action(page, "Restore", "It is only a harbour.")
    assert follower.feed() == [last, post, first]
    # A signed URL stops working when the files have moved back to their public path.
    eventually(lambda: shown_picture(follower, post).status_code == 200)
    page.goto(f"/admin/accounts/auditentry/?q={post}")
    entries = page.locator("#result_list tbody .field-what")
    assert entries.all_inner_texts() == ["restore", "hide"]


def test_destructive_action_requires_a_policy_or_a_note(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    author = HttpUser(admin_stack)
    post = author.create_post("fine as it is")
    report(HttpUser(admin_stack), post)
    staff["moderator"].sign_in(page, f"/admin/posts/post/{post}/change/")
    form = open_action(page, "Hide")
    form.get_by_label("Policy").select_option("No policy")
    form.get_by_role("button", name="Hide", exact=True).click()
    expect(page.locator(".errorlist")).to_have_text("Choose a policy or write a note.")
    assert author.call("GET", f"/posts/{post}").status_code == 200


def test_staff_without_permission_cannot_see_cases(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    post = HttpUser(admin_stack).create_post("none of their business")
    for member in ("newcomer", "operator"):
        staff[member].sign_in(page)
        assert page.get_by_role("link", name="Cases").count() == 0
        for path in ("/admin/posts/case/", f"/admin/posts/post/{post}/change/"):
            response = page.goto(path)
            assert response is not None
            assert response.status == 403
        page.context.clear_cookies()
