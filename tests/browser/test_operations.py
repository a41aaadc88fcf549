"""Operations in a browser: pin a celebrity, view the dashboard, run jobs, and none of it without permission."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.staff_users import StaffUser
from tests.browser.test_moderation import perform_action
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

_JOB_TIMEOUT = 100_000  # milliseconds
_CORRUPT_POST_COUNTS = """
from accounts.models import User
User.objects.filter(pk__in=User.objects.order_by("pk").values("pk")[:3]).update(post_count=99)
"""

# A style sheet of this kind does not need a permission of the page's content security policy.
_SHRINK_LOG = """
const sheet = new CSSStyleSheet();
sheet.replaceSync(".job-log { box-sizing: border-box; max-height: 20px !important; padding: 0 !important; }");
document.adoptedStyleSheets = [sheet];
"""


def is_celebrity(actor: HttpUser) -> bool:
    return bool(actor.get(f"/users/{actor.username}")["is_celebrity"])


def test_operator_pins_and_unpins_a_celebrity(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    author, follower = HttpUser(admin_stack), HttpUser(admin_stack)
    follower.follow(author)
    pushed = author.create_post("pushed")
    eventually(lambda: follower.feed() == [pushed])
    staff["operator"].sign_in(page, f"/admin/accounts/user/{author.id}/change/")
    perform_action(page, "Pin as celebrity", "A newspaper reports on them.")
    eventually(lambda: is_celebrity(author))
    pulled = author.create_post("pulled")
    assert follower.feed() == [pulled, pushed]
    page.goto("/admin/feeds/fanout/")
    assert "pull" in page.locator("#result_list tbody tr").first.inner_text()
    page.goto(f"/admin/accounts/user/{author.id}/change/")
    perform_action(page, "Remove the pin", "The fuss is over.")
    eventually(lambda: not is_celebrity(author))
    assert follower.feed() == [pulled, pushed]


def test_moderator_cannot_pin_or_see_fan_outs(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    author = HttpUser(admin_stack)
    staff["moderator"].sign_in(page, f"/admin/accounts/user/{author.id}/change/")
    assert page.locator("summary", has_text="Suspend").count() == 1
    assert page.locator("summary", has_text="Pin").count() == 0
    token = page.locator("input[name=csrfmiddlewaretoken]").first.get_attribute("value") or ""
    response = page.request.post(
        f"{admin_stack.base_url}/admin/accounts/user/act/pull/",
        form={"csrfmiddlewaretoken": token, "pk": str(author.id), "reason": "I want to."},
    )
    assert response.status == 403
    fan_outs = page.goto("/admin/feeds/fanout/")
    assert fan_outs is not None
    assert fan_outs.status == 403
    assert not is_celebrity(author)


class HeldReadings:
    """The page of a job reads itself again and again, but not once it has got a text, until `go_on()`.

    So a test sees the job in the middle, however long the test takes to look.
    """

    def __init__(self, page: Page, text: str) -> None:
        self._page, self._text = page, text
        self._is_holding = False
        self._held: list[Route] = []
        page.route("**/change/", self._answer)

    def _answer(self, call: Route) -> None:
        if self._is_holding:
            self._held.append(call)
            return
        answer = call.fetch()
        self._is_holding = self._text in answer.text()
        call.fulfill(response=answer)

    def go_on(self) -> None:
        self._page.unroute("**/change/")
        for call in self._held:
            call.continue_()


@pytest.mark.usefixtures("samples")
def test_dashboard_shows_charts_to_operators_only(page: Page, staff: dict[str, StaffUser]) -> None:
    staff["operator"].sign_in(page)
    eventually(lambda: page.reload() and page.get_by_text("database ok").count() == 1)
    charts = page.locator("svg").filter(has=page.locator("polyline, path"))
    assert charts.count() >= 8
    staff["operator"].sign_out(page)
    staff["moderator"].sign_in(page)
    assert page.get_by_text("Replica lag").count() == 0


def test_operator_follows_a_job_to_its_end(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack, shoot: Callable[[str], None]
) -> None:
    """The page shows progress and result without a reload by the user."""
    admin_stack.manage("shell", "-c", _CORRUPT_POST_COUNTS)
    staff["operator"].sign_in(page, "/admin/backoffice/operatorjob/")
    page.get_by_role("link", name="Reconcile counters").click()
    page.get_by_label("At most this many items a second").fill("250")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/change/")
    page.evaluate("window.neverReloaded = true")
    readings = HeldReadings(page, "Compared the post counts")
    expect(page.locator(".job-log")).to_contain_text("Compared the post counts", timeout=_JOB_TIMEOUT)
    assert page.get_by_text("running", exact=True).count() == 1
    assert 0 < page.locator("progress").evaluate("bar => bar.value") < 100
    shoot("operator-job")
    readings.go_on()
    expect(page.locator(".job-state")).to_contain_text(
        "succeeded All counts are right; 3 were corrected.", timeout=_JOB_TIMEOUT
    )
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.locator("progress").evaluate("bar => bar.value") == 100
    assert page.evaluate("window.neverReloaded")
    staff["operator"].sign_out(page)
    staff["admin"].sign_in(page, "/admin/accounts/auditentry/")
    assert page.locator("#result_list tbody .field-what").all_inner_texts()[:2] == ["end job", "start job"]


def test_log_stays_where_the_operator_scrolls_to(page: Page, staff: dict[str, StaffUser]) -> None:
    staff["operator"].sign_in(page, "/admin/backoffice/operatorjob/start/verify_feeds/")
    page.get_by_label("At most this many items a second").fill("1")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/change/")
    page.evaluate(_SHRINK_LOG)
    log, last_progress = page.locator(".job-log"), page.get_by_role("row", name="last progress").locator("td")
    expect(log).to_contain_text("Started", timeout=_JOB_TIMEOUT)
    for position in ("0", "log.scrollHeight - log.clientHeight"):
        expected = log.evaluate(f"log => log.scrollTop = {position}")
        before = last_progress.inner_text()
        expect(last_progress).not_to_have_text(before, timeout=_JOB_TIMEOUT)
        assert log.evaluate("log => log.scrollTop") == expected
    assert expected > 0
    with page.expect_navigation():  # or the job would go on beside the next tests
        page.get_by_role("button", name="Cancel").click()


def test_operator_cancels_a_job(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    staff["operator"].sign_in(page, "/admin/backoffice/operatorjob/start/backfill_feeds/")
    page.get_by_label("At most this many items a second").fill("1")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("running", exact=True)).to_have_count(1, timeout=_JOB_TIMEOUT)
    page.goto("/admin/backoffice/operatorjob/start/backfill_feeds/")
    assert page.get_by_role("button", name="Start").is_disabled()
    page.locator(".errornote a").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled by operator.")).to_have_count(2)
    page.goto("/admin/backoffice/operatorjob/")
    assert "cancelled" in page.locator("#result_list tbody tr").first.inner_text()
