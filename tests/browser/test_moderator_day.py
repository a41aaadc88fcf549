"""A moderator's day in a browser: cases by keyboard alone, two moderators on one queue, evidence, phones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.staff_users import StaffUser
from tests.browser.test_moderation import LOADED_WIDTH, post_with_picture
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

_PHONE = {"width": 390, "height": 844}
_SERIOUS = ("serious", "critical")
_END_TRANSITIONS = "document.getAnimations().forEach(animation => animation.finish())"  # of colours


@contextmanager
def new_page(chromium: Browser, stack: LiveStack, **options: Any) -> Iterator[Page]:
    """A page of another browser session."""
    context = chromium.new_context(base_url=stack.base_url, **{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(100_000)
    yield context.new_page()
    context.close()


def report(reporter: HttpUser, kind: str, target_id: str, reason: str = "spam", note: str = "") -> None:
    body = {"target_type": kind, "target_id": target_id, "reason": reason, "note": note}
    response = reporter.call("POST", "/reports", json=body)
    assert response.status_code == 201, response.text


def create_cases(stack: LiveStack, number: int) -> tuple[HttpUser, str]:
    """Report posts of a new author. Return the author, and the URL of the list of their open cases."""
    author, reporter = HttpUser(stack), HttpUser(stack)
    for each in range(number):
        report(reporter, "post", author.create_post(f"Cheap watches, offer {each}"))
    return author, f"/admin/posts/case/?q={author.username}&state=0"


def audited(page: Page, author: HttpUser) -> list[str]:
    """Return the actions in the audit log about the author's posts and account, the oldest first."""
    page.goto(f"/admin/accounts/auditentry/?user_id={author.id}")
    return page.locator("#result_list tbody .field-what").all_inner_texts()[::-1]


def send(page: Page) -> None:
    """Send the open form with Ctrl+Enter and wait for the next page."""
    before = page.url
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != before)


def count_open_forms(page: Page) -> int:
    return page.locator("details.admin-action[open]").count()


# --- The flow ----------------------------------------------------------------------------------------


def test_ten_cases_by_keyboard_take_one_page_load_each(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    author, queue = create_cases(admin_stack, 10)
    staff["moderator"].sign_in(page, queue)
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url) if frame == page.main_frame else None)

    page.keyboard.press("j")  # from the list to the first case
    page.wait_for_url("**/change/**")
    for number, key in enumerate("hdhwedhdxs", 1):
        expect(page.locator(".position")).to_contain_text(f" of {11 - number}")
        page.keyboard.press(key)
        focused = page.locator("details[open] :is(select, textarea):focus")
        expect(focused).to_have_count(1)
        send(page)
        expect(page.locator(".messagelist li:not(.warning, .error)").first).to_be_visible()
    assert "/change/" not in page.url, "back at the list"
    assert page.url.endswith(queue)
    assert len(loads) == 11
    names = {"h": "hide", "d": "dismiss", "w": "warn", "e": "warn", "x": "delete", "s": "suspend"}
    done = audited(page, author)
    assert [name for name in done if name != "hide"] == [names[key] for key in "hdhwedhdxs" if key != "h"]
    assert done.count("hide") == 4, "one of them by Hide and warn"


def test_next_and_previous_case_by_keyboard(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    _, queue = create_cases(admin_stack, 3)
    staff["moderator"].sign_in(page, queue)
    seen = []
    for key in "jjjk":
        before = page.url
        page.keyboard.press(key)
        page.wait_for_url(lambda url, before=before: url != before)  # type: ignore[misc]
        seen.append(page.locator(".position").inner_text())
    assert seen == ["1 of 3", "2 of 3", "3 of 3 – the last", "2 of 3"]
    with page.expect_navigation():
        page.get_by_label("Breadcrumbs").get_by_role("link", name="Cases").click()
    assert page.url.endswith(queue)


def test_message_links_the_decided_case_to_undo_it(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    author, queue = create_cases(admin_stack, 2)
    staff["moderator"].sign_in(page, queue)
    page.keyboard.press("j")
    page.wait_for_url("**/change/**")
    page.keyboard.press("h")
    send(page)
    with page.expect_navigation():
        page.locator(".messagelist a").click()
    page.keyboard.press("r")
    page.locator("details[open]").get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Restored.")
    assert audited(page, author) == ["hide", "restore"]


def test_two_browsers_on_one_queue_never_decide_the_same_case(
    page: Page, chromium: Browser, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    """Both send at the same time, each until it gets no more cases."""
    author, queue = create_cases(admin_stack, 9)
    with new_page(chromium, admin_stack) as other:
        pages = {page: "moderator", other: "admin"}
        decided: dict[Page, list[str]] = {page: [], other: []}
        for each, who in pages.items():
            staff[who].sign_in(each, queue)
            each.keyboard.press("j")
        for each in pages:
            each.wait_for_url("**/change/**")
        while working := [each for each in pages if "/change/" in each.url]:
            urls = [each.url for each in working]
            assert len(set(urls)) == len(urls), "two have the same case"
            for each in working:
                decided[each].append(each.url)
                each.keyboard.press("h")
            for each in working:
                each.keyboard.press("Control+Enter")
            for each, before in zip(working, urls, strict=True):
                each.wait_for_url(lambda url, before=before: url != before)  # type: ignore[misc]
                expect(each.locator(".messagelist .warning, .messagelist .error")).to_have_count(0)
    every = decided[page] + decided[other]
    assert len(every) == len(set(every)) == 9
    assert min(map(len, decided.values())) >= 3
    assert audited(page, author) == ["hide"] * 9


def test_claim_is_shown_to_colleagues_and_released_when_the_page_is_left(
    page: Page, chromium: Browser, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    _, queue = create_cases(admin_stack, 1)
    staff["moderator"].sign_in(page, queue)
    with new_page(chromium, admin_stack) as other:
        staff["admin"].sign_in(other, queue)
        page.keyboard.press("j")
        page.wait_for_url("**/change/**")
        other.goto(page.url)
        expect(other.locator(".claim-other")).to_contain_text("@moderator has this case open until")
        other.goto(queue)
        expect(other.locator("td.field-claim")).to_contain_text("@moderator")
        page.goto("/admin/")
        eventually(lambda: other.reload() and "@moderator" not in other.locator("td.field-claim").inner_text())


def test_open_page_renews_its_claim(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    _, queue = create_cases(admin_stack, 1)
    page.clock.install()
    staff["moderator"].sign_in(page, queue)
    page.keyboard.press("j")
    page.wait_for_url("**/change/**")
    side = page.locator("[data-claimed-until]")
    before = side.get_attribute("data-claimed-until")
    with page.expect_response("**/claim/") as renewal:
        page.clock.run_for(130_000)
    assert renewal.value.json()["until"] > before
    expect(side).to_have_attribute("data-claimed-until", renewal.value.json()["until"])


# --- Keys --------------------------------------------------------------------------------------------


def test_keys_do_not_act_while_typing_and_can_be_switched_off(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack
) -> None:
    _, queue = create_cases(admin_stack, 2)
    staff["moderator"].sign_in(page, queue)
    page.keyboard.press("j")
    page.wait_for_url("**/change/**")
    case = page.url
    page.keyboard.press("n")
    page.keyboard.type("jkhds?")
    expect(page.locator("details[open] textarea")).to_have_value("jkhds?")
    assert page.url == case
    page.keyboard.press("Escape")
    assert count_open_forms(page) == 0
    expect(page.locator("#action-note summary")).to_be_focused()
    page.keyboard.press("h")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert count_open_forms(page) == 1, "one at a time"
    page.keyboard.press("Escape")

    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("next case")
    keys.get_by_label("Use single keys").uncheck()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.reload()
    for key in "h?":
        page.keyboard.press(key)
    assert count_open_forms(page) == 0
    expect(keys).to_be_hidden()
    page.get_by_role("button", name="Keys").click()
    keys.get_by_label("Use single keys").check()
    keys.get_by_role("button", name="Close").click()
    page.keyboard.press("h")
    assert count_open_forms(page) == 1


# --- Evidence ----------------------------------------------------------------------------------------


@pytest.fixture
def reported_picture(admin_stack: LiveStack) -> tuple[HttpUser, str]:
    """Return the author and the id of a post with a picture that was reported for nudity, twice, and as spam."""
    author = HttpUser(admin_stack)
    post = post_with_picture(author)
    for reason in ("nudity", "nudity", "spam"):
        report(HttpUser(admin_stack), "post", post, reason, f"Please look: {reason}.")
    return author, post


def open_case(page: Page, author: HttpUser) -> None:
    page.goto(f"/admin/posts/case/?q={author.username}&state=0")
    page.locator("#result_list tbody th a, #result_list tbody td.field-preview a").first.click()
    page.wait_for_url("**/change/**")


def is_blurred(image: Locator) -> bool:
    return "blur" in str(image.evaluate("image => getComputedStyle(image).filter"))


def test_evidence_and_actions_are_above_the_fold(
    page: Page, staff: dict[str, StaffUser], reported_picture: tuple[HttpUser, str]
) -> None:
    author, _ = reported_picture
    staff["moderator"].sign_in(page)
    open_case(page, author)
    reports = page.locator(".reports-card")
    expect(reports.locator(".reasons")).to_have_text("2 nudity · 1 spam")
    shown = {
        "picture": page.locator(".strip-picture"),
        "caption": page.get_by_text("Sunset over the harbour"),
        "reasons": reports.locator(".reasons"),
        **{f"note {number}": reports.locator("tbody tr").nth(number) for number in range(3)},
        **{f"action {number}": summary for number, summary in enumerate(page.locator("summary").all())},
        "next": page.locator(".position"),
    }
    for name, element in shown.items():
        box = element.bounding_box()
        assert box, name
        assert box["y"] >= 0, name
        assert box["y"] + box["height"] <= 900, name
    assert page.evaluate("scrollY") == 0


def test_sensitive_pictures_are_blurred_until_asked(
    page: Page, chromium: Browser, staff: dict[str, StaffUser], admin_stack: LiveStack, reported_picture: Any
) -> None:
    author, _ = reported_picture
    staff["moderator"].sign_in(page, f"/admin/posts/case/?q={author.username}")
    assert is_blurred(page.locator("#result_list img.thumbnail"))
    open_case(page, author)
    picture = page.locator(".strip-picture")
    assert picture.evaluate(LOADED_WIDTH) >= 640
    assert is_blurred(picture)
    page.keyboard.press("z")
    zoomed = page.locator("#zoom img")
    assert is_blurred(zoomed)
    page.keyboard.press("b")
    assert not is_blurred(zoomed)
    page.keyboard.press("Escape")
    assert not is_blurred(picture)
    page.keyboard.press("b")
    assert is_blurred(picture)
    with new_page(chromium, admin_stack, java_script_enabled=False) as plain:
        staff["admin"].sign_in(plain, page.url)
        assert is_blurred(plain.locator(".strip-picture"))
        plain.get_by_label("Show the pictures").check()
        assert not is_blurred(plain.locator(".strip-picture"))
        plain.locator("#action-hide summary").click()
        plain.locator("#action-hide").get_by_role("button", name="Hide", exact=True).click()
        expect(plain.locator(".messagelist")).to_contain_text("Hidden.")


def test_zoom_goes_through_the_pictures(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    post = post_with_picture(HttpUser(admin_stack), pictures=3)
    staff["moderator"].sign_in(page, f"/admin/posts/post/{post}/change/")
    page.locator(".zoomable").first.focus()
    page.keyboard.press("Enter")
    zoom = page.locator("#zoom")
    expect(zoom).to_be_visible()
    positions = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        positions.append(zoom.locator(".zoom-position").inner_text())
    assert positions == ["2 of 3", "3 of 3", "1 of 3", "3 of 3"]
    assert zoom.locator("img").evaluate(LOADED_WIDTH) > 0
    page.keyboard.press("Escape")
    expect(zoom).to_be_hidden()
    expect(page.locator(".zoomable").first).to_be_focused()


# --- Phones and accessibility ------------------------------------------------------------------------


def test_every_action_is_reachable_on_a_phone(
    page: Page, staff: dict[str, StaffUser], reported_picture: tuple[HttpUser, str]
) -> None:
    author, _ = reported_picture
    page.set_viewport_size(_PHONE)  # type: ignore[arg-type]
    staff["moderator"].sign_in(page)
    open_case(page, author)
    picture, bar = page.locator(".strip-picture").bounding_box(), page.locator(".detail-side").bounding_box()
    assert picture
    assert bar
    assert picture["y"] < bar["y"], "the evidence comes first"
    assert bar["y"] + bar["height"] <= _PHONE["height"], "the buttons are in view"
    summaries = page.locator("details.admin-action summary").all()
    assert len(summaries) >= 7
    for summary in summaries:
        summary.click()
        form = page.locator("details[open] form")
        for button in form.get_by_role("button").all():
            button.scroll_into_view_if_needed()
            expect(button).to_be_in_viewport(ratio=1)
        page.keyboard.press("Escape")
        assert count_open_forms(page) == 0


@pytest.fixture
def pages_to_check(admin_stack: LiveStack, reported_picture: tuple[HttpUser, str]) -> dict[str, str]:
    """The URLs of the moderators' pages, about one author. Cases have no ids in the API: the list links them."""
    author, post = reported_picture
    reporter = HttpUser(admin_stack)
    comments = [
        author.call("POST", f"/posts/{post}/comments", json={"text": f"Comment {number}"}).json()["id"]
        for number in range(3)
    ]
    report(reporter, "comment", comments[1], "harassment", "Rude.")
    report(reporter, "user", author.id, "other", "Pretends to be another user.")
    found = f"/admin/posts/case/?q={author.username}"
    return {
        "list": found,
        "case of a post": f"{found}&type=post",
        "case of a comment": f"{found}&type=comment",
        "case of an account": f"{found}&type=user",
        "post": f"/admin/posts/post/{post}/change/",
        "comment": f"/admin/posts/comment/{comments[1]}/change/",
        "user": f"/admin/accounts/user/{author.id}/change/",
        "confirmation": found,
    }


def test_pages_have_no_serious_accessibility_findings_and_fit_on_a_phone(
    page: Page, staff: dict[str, StaffUser], pages_to_check: dict[str, str], console_errors: list[str]
) -> None:
    staff["moderator"].sign_in(page)
    found: dict[str, Any] = {}
    for name, url in pages_to_check.items():
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(url)
        if name.startswith("case of"):
            page.locator("#result_list tbody .field-preview a").first.click()
            page.wait_for_url("**/change/**")
            page.locator("summary").nth(1).click()
        if name == "confirmation":
            page.locator("#action-toggle").check()
            page.locator("select[name=action]").select_option("hide")
            page.get_by_role("button", name="Go").click()
            page.locator("form.action-form").wait_for()
        for width, height in ((1280, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found[f"{name}, {width}"] = "wider than the screen"
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.evaluate(_END_TRANSITIONS)
                if findings := serious_findings(page):
                    found[f"{name}, {width}, {scheme}"] = findings
    # axe-core tries inline styles, which the policy of the site refuses.
    console_errors[:] = [error for error in console_errors if "Applying inline style" not in error]
    assert found == {}


def serious_findings(page: Page) -> list[str]:
    """Return what axe-core finds on the page: rule and elements."""
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']]}"
        for each in Axe().run(page).response["violations"]
        if each["impact"] in _SERIOUS
    ]


# --- Pictures for the documents ----------------------------------------------------------------------


def test_pictures_for_the_documents(page: Page, staff: dict[str, StaffUser], shoot: Callable[[str], None]) -> None:
    staff["moderator"].sign_in(page)
    for suffix, size in (("", {"width": 1280, "height": 900}), ("-phone", _PHONE)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.goto("/admin/posts/case/?state=0")
        expect(page.locator("#result_list tbody tr").first).to_be_visible()
        shoot(f"queue{suffix}")
        page.keyboard.press("j")
        page.wait_for_url("**/change/**")
        page.wait_for_load_state("networkidle")
        shoot(f"case{suffix}")
    if folder := os.environ.get("SCREENSHOTS"):
        assert Path(folder, "case-phone.png").exists()
