"""What people do with the web client, from the feed to a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from instafeed.devstack.demo_credentials import DEMO_USERNAME
from tests.browser.staff_users import StaffUser
from tests.browser.test_moderation import perform_action
from tests.browser.webclient.client_window import DOUBLE_TAP, ClientWindow
from tests.browser.webclient.conftest import OpenWindow
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

MAX_FIRST_BYTES = 100_000  # 63,000 were measured
# What the browser has loaded until it shows something; null before that.
_BYTES_OF_FIRST_PAINT = """() => {
    const [paint] = performance.getEntriesByName('first-contentful-paint');
    const all = ['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type));
    const loaded = all.filter((entry) => entry.responseStart <= paint?.startTime);
    return paint ? loaded.reduce((sum, entry) => sum + entry.encodedBodySize, 0) : null;
}"""
_SHIFT = """() => new Promise((resolve) => new PerformanceObserver((list) =>
    resolve(list.getEntries().filter((entry) => !entry.hadRecentInput).reduce((sum, entry) => sum + entry.value, 0))
).observe({type: 'layout-shift', buffered: true}) || setTimeout(() => resolve(0), 500))"""


@pytest.fixture
def demo(admin_stack: LiveStack, open_window: OpenWindow) -> ClientWindow:
    window = open_window()
    window.sign_in(DEMO_USERNAME)
    return window


def test_first_paint_waits_for_few_bytes_and_no_call(open_window: OpenWindow, reader: HttpUser) -> None:
    """Counted, as the time depends on what else the machine does (docs/web-client.md has it)."""
    page = open_window(reader, has_service_worker=False).page
    calls: list[Route] = []
    page.route("**/api/**", lambda call: calls.append(call))
    page.reload()
    size = page.wait_for_function(_BYTES_OF_FIRST_PAINT).json_value()
    assert 0 < size < MAX_FIRST_BYTES
    eventually(lambda: page.evaluate("true") and calls)  # and none is answered


def test_feed_shows_pictures_and_scrolls_without_end(demo: ClientWindow) -> None:
    page = demo.page
    page.reload()
    expect(page.locator(".picture[data-state=loaded]").first).to_be_visible()
    demo.shoot("feed")
    shown: list[str] = []
    while len(shown) < 35:
        page.mouse.wheel(0, 5_000)
        page.wait_for_timeout(200)
        shown = page.locator("article .names a.quiet").evaluate_all("links => links.map(link => link.pathname)")
    assert len(set(shown)) == len(shown), "no post twice"
    assert page.evaluate(_SHIFT) < 0.02, "pictures do not move what is below them"

    # Going back shows the list where it was.
    link = page.locator("article .names a.quiet").nth(len(shown) - 3)
    link.scroll_into_view_if_needed()
    # At once, as the page may still be scrolling.
    position = link.evaluate("link => { const { scrollY } = window; link.click(); return scrollY; }")
    page.wait_for_url("**/p/*")
    page.go_back()
    page.wait_for_function("position => Math.abs(window.scrollY - position) < 400", arg=position)


def test_like_save_and_comment(open_window: OpenWindow, reader: HttpUser, author: HttpUser) -> None:
    reader.follow(author)
    post_id = author.create_post("A walk #by the sea")
    window = open_window(reader)
    post = window.post(post_id)
    with window.page.expect_response("**/like"):
        post.get_by_role("button", name="Like").click()
    expect(post.get_by_text("1 like")).to_be_visible()
    with window.page.expect_response("**/save"):
        post.get_by_role("button", name="Save").click()
    post.get_by_role("link", name="Comments", exact=True).click()
    window.page.get_by_label("Your comment").fill(f"Lovely, @{author.username}")
    window.button("Send").click()
    expect(window.page.get_by_role("article", name=f"Comment by {reader.username}")).to_be_visible()
    window.button("Reply").click()
    window.page.get_by_label("Your comment").fill("and a reply")
    window.button("Send").click()
    expect(window.page.get_by_text("2 comments")).to_be_visible()

    window.page.get_by_role("link", name="#by").click()
    expect(window.page.get_by_role("heading", name="#by")).to_be_visible()
    window.page.goto("/saved")
    expect(window.page.locator(f'a.tile[href="/p/{post_id}"]')).to_be_visible()
    answer = reader.get(f"/posts/{post_id}")
    assert (answer["liked"], answer["saved"], answer["comment_count"]) == (True, True, 2)


def test_post_with_three_pictures(open_window: OpenWindow, reader: HttpUser, author: HttpUser, tmp_path: Path) -> None:
    reader.follow(author)
    files = []
    for name, color in (("red", "#d32f2f"), ("green", "#388e3c"), ("blue", "#1976d2")):
        files.append(tmp_path / f"{name}.png")
        Image.new("RGB", (900, 600), color).save(files[-1])
    window = open_window(author, width=390)
    page = window.page
    page.get_by_role("link", name="New post").click()
    page.locator("input[type=file]").set_input_files(files)
    expect(page.get_by_text("Ready")).to_have_count(3)
    page.get_by_label("What does picture 1 show?").fill("red")
    window.button("Move picture 1 down").click()
    expect(page.get_by_label("What does picture 2 show?")).to_have_value("red")
    page.get_by_label("Caption").fill("Three colours")
    window.wait_until_drafted("Three colours")
    page.reload()  # the draft is kept
    expect(page.get_by_label("Caption")).to_have_value("Three colours")
    expect(page.get_by_text("Ready")).to_have_count(3)
    expect(page.get_by_label("What does picture 2 show?")).to_have_value("red")
    window.button("Publish").click()
    page.wait_for_url("**/p/*")
    post_id = page.url.rsplit("/", 1)[1]
    media = reader.get(f"/posts/{post_id}")["media"]
    assert [each["alt_text"] for each in media] == ["", "red", ""]

    other = open_window(reader)
    strip = other.post(post_id).locator(".strip")
    expect(strip).to_have_attribute("aria-label", "Picture 1 of 3")
    other.button("Next picture").click()
    expect(strip).to_have_attribute("aria-label", "Picture 2 of 3")
    other.post(post_id).locator(".picture img").nth(1).evaluate(DOUBLE_TAP)
    expect(other.post(post_id).get_by_text("1 like")).to_be_visible()


def test_private_account_accepts_a_follower(open_window: OpenWindow, reader: HttpUser, author: HttpUser) -> None:
    author.call("PATCH", "/me", json={"is_private": True})
    post_id = author.create_post("for followers")
    asking = open_window(reader)
    asking.page.goto(f"/@{author.username}")
    expect(asking.page.get_by_text("This account is private.")).to_be_visible()
    asking.page.get_by_role("button", name=f"Follow: {author.username}").click()
    expect(asking.page.get_by_role("button", name=f"Requested: {author.username}")).to_be_visible()

    accepting = open_window(author)
    accepting.page.get_by_role("link", name="Notifications").click()
    accepting.page.get_by_role("button", name="Accept").first.click()
    expect(accepting.page.get_by_role("button", name="Accept")).to_have_count(0)

    asking.page.goto("/")
    expect(asking.post(post_id)).to_be_visible()


def test_reported_post_disappears_once_a_moderator_hides_it(
    open_window: OpenWindow, reader: HttpUser, author: HttpUser, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    reader.follow(author)
    post_id = author.create_post("Buy cheap watches")
    window = open_window(reader)
    window.post(post_id).get_by_role("button", name="More").click()
    window.button("Report").click()
    window.page.get_by_label("It is spam").check()
    window.button("Report").click()
    expect(window.page.get_by_text("A moderator will look at it.")).to_be_visible()

    moderator = open_window()
    staff["moderator"].sign_in(moderator.page, "/admin/posts/case/")
    moderator.page.locator("#result_list tbody tr").filter(has_text="Buy cheap watches").locator("a").first.click()
    perform_action(moderator.page, "Hide", "spam")
    moderator.page.locator(".messagelist").wait_for()
    window.page.reload()
    window.settle()
    expect(window.post(post_id)).to_have_count(0)


def test_block_takes_the_posts_away_at_once(open_window: OpenWindow, reader: HttpUser, author: HttpUser) -> None:
    reader.follow(author)
    post_id = author.create_post("soon out of sight")
    window = open_window(reader)
    expect(window.post(post_id)).to_be_visible()
    window.post(post_id).get_by_role("link", name=author.username, exact=True).click()
    window.button("More").click()
    window.button("Block").click()
    window.page.get_by_role("dialog").get_by_role("button", name="Block").click()
    expect(window.page.get_by_text("You block this account.")).to_be_visible()
    window.page.get_by_role("link", name="Home").click()
    window.settle()
    expect(window.post(post_id)).to_have_count(0)


def test_profile_stays_as_it_is_when_it_is_followed_and_muted(
    open_window: OpenWindow, reader: HttpUser, author: HttpUser
) -> None:
    author.create_post("on my profile")
    window = open_window(reader)
    window.page.goto(f"/@{author.username}")
    window.page.get_by_role("button", name=f"Follow: {author.username}").press("Enter")
    expect(window.page.get_by_role("button", name=f"Following: {author.username}")).to_be_focused()
    window.button("More").click()
    window.button("Mute").click()
    expect(window.page.get_by_text("is no longer in your feed")).to_be_visible()
    expect(window.page.get_by_text("on my profile")).to_be_visible()


def test_own_comment_is_there_once_in_a_long_list(open_window: OpenWindow, reader: HttpUser, author: HttpUser) -> None:
    post_id = author.create_post("much discussed")
    for number in range(60):
        author.call("POST", f"/posts/{post_id}/comments", json={"text": f"comment {number}"})
    window = open_window(reader)
    page = window.page
    page.goto(f"/p/{post_id}")
    expect(page.locator(".comment")).to_have_count(50)  # the first page
    page.get_by_label("Your comment").fill("my own")
    window.button("Send").click()
    expect(page.locator(".comment").get_by_text("my own")).to_have_count(1)
    page.mouse.wheel(0, 20_000)
    expect(page.locator(".comment").get_by_text("comment 59")).to_be_attached()
    expect(page.locator(".comment").get_by_text("my own")).to_have_count(1)


def test_link_to_the_comments_shows_them(open_window: OpenWindow, author: HttpUser) -> None:
    post_id = author.create_post("\n".join("a long caption" for _ in range(60)))
    window = open_window(author, width=390)
    window.post(post_id).get_by_role("link", name="Comments", exact=True).click()
    expect(window.page.get_by_text("No comments yet.")).to_be_in_viewport()


def test_screen_that_cannot_be_loaded_offers_to_reload(open_window: OpenWindow, reader: HttpUser) -> None:
    """As after an update of the site, which no longer has the modules of the page that is open."""
    window = open_window(reader, has_service_worker=False)  # it keeps the modules of its version
    window.expected_errors.append("status of 404")
    window.context.route("**/screens/new_post*", lambda route: route.fulfill(status=404))
    window.page.get_by_role("link", name="New post").click()
    expect(window.page.get_by_text("This page could not be loaded.")).to_be_visible()
    window.context.unroute("**/screens/new_post*")
    window.button("Reload").click()
    expect(window.button("Publish")).to_be_visible()


def test_fields_with_the_focus_are_not_behind_the_bar(open_window: OpenWindow, reader: HttpUser) -> None:
    page = open_window(reader, width=390).page
    page.goto("/settings/profile")
    page.get_by_label("Name", exact=True).focus()
    bar = page.locator(".navigation").bounding_box()
    assert bar
    for _ in range(4):  # to the last one
        page.keyboard.press("Tab")
        field = page.locator(":focus").bounding_box()
        assert field
        assert field["y"] + field["height"] <= bar["y"], page.locator(":focus").inner_html()


def test_new_posts_and_notifications_announce_themselves(
    open_window: OpenWindow, reader: HttpUser, author: HttpUser
) -> None:
    reader.follow(author)
    old = author.create_post("before")
    window = open_window(reader)
    expect(window.post(old)).to_be_visible()
    new = author.create_post("while the feed is open")
    window.page.get_by_role("button", name="1 new post").click()
    expect(window.post(new)).to_be_visible()
    author.follow(reader)
    expect(window.page.get_by_label("1 unread")).to_be_visible()


def test_post_of_the_time_before_the_stream_is_announced(
    open_window: OpenWindow, reader: HttpUser, author: HttpUser
) -> None:
    reader.follow(author)
    old = author.create_post("before")
    window = open_window()
    calls: list[Route] = []
    window.page.route("**/api/v1/stream", lambda call: calls.append(call))
    window.sign_in(reader.username)
    expect(window.post(old)).to_be_visible()
    eventually(lambda: window.page.evaluate("true") and calls)
    new = author.create_post("before the stream")
    eventually(lambda: reader.feed() == [new, old])
    calls[0].continue_()
    window.page.get_by_role("button", name="1 new post").click()
    expect(window.post(new)).to_be_visible()


def test_last_feed_is_there_without_a_connection(open_window: OpenWindow, reader: HttpUser, author: HttpUser) -> None:
    reader.follow(author)
    post_id = author.create_post("kept for later")
    window = open_window(reader)
    window.wait_for_service_worker()
    window.page.reload()  # through the service worker, which keeps the feed
    expect(window.post(post_id)).to_be_visible()
    window.wait_until_kept("/api/v1/feed")
    window.context.set_offline(True)
    window.page.reload()
    expect(window.post(post_id)).to_be_visible()
    window.context.set_offline(False)


def test_keyboard_suffices(open_window: OpenWindow, reader: HttpUser, author: HttpUser) -> None:
    reader.follow(author)
    post_id = author.create_post("by keyboard")
    window = open_window(reader)
    page = window.page
    page.reload()
    expect(window.post(post_id)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Like":
            break
    page.keyboard.press("Enter")
    expect(window.post(post_id).get_by_role("button", name="Unlike")).to_be_focused()
    expect(window.post(post_id).get_by_text("1 like")).to_be_visible()
    window.post(post_id).get_by_role("button", name="More").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(window.post(post_id).get_by_role("button", name="More")).to_be_focused()


def test_search_finds_accounts_and_hashtags(demo: ClientWindow) -> None:
    demo.page.get_by_role("link", name="Search").click()
    demo.page.get_by_label("Accounts and #hashtags").fill("no")
    expect(demo.page.locator(".person").first).to_be_visible()
    demo.page.get_by_label("Accounts and #hashtags").fill("#go")
    demo.page.locator(".person", has_text="#go").first.click()
    expect(demo.page.locator("a.tile").first).to_be_visible()


SCREENS = (
    *("/", "/explore", "/search?q=a", "/notifications", "/saved", "/new", "/settings", "/tags/goldenhour"),
    *("/settings/profile", "/settings/privacy", "/settings/account", "/settings/sessions", "/settings/second-factor"),
    *(
        "/settings/notifications",
        "/settings/data",
        "/settings/delete",
        f"/@{DEMO_USERNAME}",
        f"/@{DEMO_USERNAME}/followers",
    ),
)
VISITORS_SCREENS = ("/", "/login", "/register", "/forgot-password", f"/@{DEMO_USERNAME}")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_screens_have_no_serious_findings(
    open_window: OpenWindow, admin_stack: LiveStack, width: int, scheme: str
) -> None:
    findings: dict[str, list[str]] = {}
    visitor = open_window(width=width, scheme=scheme)
    member = open_window(width=width, scheme=scheme)
    member.sign_in(DEMO_USERNAME)
    first_post = member.page.locator("article .names a.quiet").first.get_attribute("href")
    if width == 390:
        expect(member.page.locator(".picture[data-state=loaded]").first).to_be_visible()
        member.shoot("feed-phone")
    for window, paths in ((visitor, VISITORS_SCREENS), (member, (*SCREENS, str(first_post)))):
        window.expected_errors.append("status of 404")
        for path in paths:
            window.page.goto(path)
            window.settle()
            found = window.serious_findings()
            if window.is_wider_than_window():
                found.append("wider than the window")
            if found:
                findings[path] = found
    assert findings == {}
