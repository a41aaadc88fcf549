"""Operations in a browser: pin a celebrity, view the dashboard, and neither without permission."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.staff_users import StaffUser
from tests.browser.test_moderation import perform_action
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack


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


@pytest.mark.usefixtures("samples")
def test_dashboard_shows_charts_to_operators_only(
    page: Page, staff: dict[str, StaffUser], shoot: Callable[[str], None]
) -> None:
    staff["operator"].sign_in(page)
    eventually(lambda: page.reload() and page.get_by_text("database ok").count() == 1)
    charts = page.locator("svg").filter(has=page.locator("polyline, path"))
    assert charts.count() >= 8
    shoot("dashboard")
    staff["operator"].sign_out(page)
    staff["moderator"].sign_in(page)
    assert page.get_by_text("Replica lag").count() == 0
