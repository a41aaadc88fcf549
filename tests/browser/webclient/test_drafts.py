"""The draft of a post: it survives a reload, a site that is down, and a failed attempt to publish it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.webclient.client_window import FAILED_REQUEST, ClientWindow, refuse
from tests.browser.webclient.conftest import OpenWindow
from tests.support.http_user import HttpUser

MEDIA = re.compile(r"/api/v1/media/\d+$")
ALT_TEXT = "What does picture 1 show?"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (900, 600), "red").save(path)
    return path


@pytest.fixture
def window(open_window: OpenWindow, author: HttpUser) -> ClientWindow:
    """With an empty draft."""
    window = open_window(author)
    window.page.goto("/new")
    return window


def choose(page: Page, picture: Path) -> None:
    page.locator("input[type=file]").set_input_files(picture)


def test_picture_is_not_lost_when_the_site_is_down_for_a_moment(window: ClientWindow, picture: Path) -> None:
    window.expected_errors.append("status of 503")
    window.page.route(MEDIA, lambda route: route.fulfill(status=503), times=1)
    choose(window.page, picture)
    expect(window.page.get_by_text("Ready")).to_be_visible()


def test_pictures_and_their_texts_are_kept_while_the_site_is_down(window: ClientWindow, picture: Path) -> None:
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    choose(page, picture)
    page.get_by_label(ALT_TEXT).fill("a red wall")
    expect(page.get_by_text("Ready")).to_be_visible()
    window.wait_until_drafted("a red wall")
    page.route(MEDIA, refuse)
    for _ in range(2):
        page.reload()
        expect(page.get_by_label(ALT_TEXT)).to_have_value("a red wall")
    page.unroute(MEDIA)
    expect(page.get_by_text("Ready")).to_be_visible()


def test_text_that_was_removed_after_a_failed_attempt_is_not_published(
    window: ClientWindow, author: HttpUser, picture: Path
) -> None:
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    choose(page, picture)
    expect(page.get_by_text("Ready")).to_be_visible()
    page.get_by_label(ALT_TEXT).fill("a secret")
    page.route("**/api/v1/posts", refuse)
    window.button("Publish").click()
    expect(page.get_by_text("Not now.")).to_be_visible()
    page.unroute("**/api/v1/posts")
    window.wait_until_drafted("a secret")
    page.reload()
    page.get_by_label(ALT_TEXT).fill("")
    window.button("Publish").click()
    page.wait_for_url("**/p/*")
    post = author.get(f"/posts/{page.url.rpartition('/')[2]}")
    assert post["media"][0]["alt_text"] == ""


def test_pictures_that_no_longer_exist_are_forgotten(window: ClientWindow, author: HttpUser, picture: Path) -> None:
    window.expected_errors.append(FAILED_REQUEST)
    page = window.page
    choose(page, picture)
    expect(page.get_by_text("Ready")).to_be_visible()
    media_id = page.evaluate("JSON.parse(localStorage.draft).media[0].id")
    assert author.call("DELETE", f"/media/{media_id}").status_code == 204
    page.reload()
    expect(page.get_by_role("list", name="Chosen pictures").get_by_role("listitem")).to_have_count(0)
    page.wait_for_function("() => localStorage.draft === undefined")
