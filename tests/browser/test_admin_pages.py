"""Every page of the admin on a phone and on a desktop, light and dark: accessible, and no wider than the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.apps import apps
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page, ViewportSize

from instafeed.core.admin.urls import url_name
from tests.browser.staff_users import StaffUser
from tests.support.live_stack import LiveStack

SCREENS = (ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844))
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")  # one for each screen
SERIOUS = ("serious", "critical")

# At least one row in each list that the demo leaves empty, with words that are too long for a phone.
_INSERT_ROWS = """
from django.utils import timezone
from accounts import audit
from accounts.models import BlockedEmailDomain, BlockedNetwork, Invite, MailKind, OutgoingMail, User
from instafeed.backoffice.jobs import services
from instafeed.core.jobs.leased import JobState
staff, word = User.objects.get(username="admin"), "unbroken" * 7
author = User.objects.filter(is_staff=False).first()
invite = Invite.objects.create(code="p" * 28, note=word)
BlockedEmailDomain.objects.create(domain=f"{word}.example", note=word)
BlockedNetwork.objects.create(network="2001:db8:1234:5678::/64", note=word)
OutgoingMail.objects.create(
    kind=MailKind.VERIFY, address=f"{word}@mail.example", user=author, error=word, state=JobState.DEAD)
User.objects.create_user(
    "pending.person", f"{word}@mail.example", "a long secret 1", is_active=False, pending_since=timezone.now())
audit.record(staff, "create_invite", "invite", invite.pk, user_id=None, after={"note": word})
audit.record(staff, "suspend", "user", author.pk, user_id=author.pk, reason=word, after={"until": timezone.now()})
services.cancel(services.start("reprocess_pictures", {}, staff).pk, staff)
"""
# A month of cases that moderators closed, and the policies that they cited.
_INSERT_CLOSED_CASES = """
from datetime import timedelta
from django.utils import timezone
from accounts.models import AuditEntry, Policy, User
from instafeed.core.db.snowflake import first_id_at
from posts.models import Case, CaseClosing, CaseState
now, staff = timezone.now(), list(User.objects.filter(is_staff=True).order_by("pk")[:3])
policies = list(Policy.objects.order_by("pk"))
for number in range(600):
    opened = now - timedelta(hours=(number * 7919) % 720 + 1, minutes=number % 60)
    closed = min(now, opened + timedelta(minutes=5 + (number * 31) % 400))
    who, policy = staff[number * number % 7 % 3], policies[number * number % 11 % len(policies)]
    Case.objects.create(
        target_type="post", target_id=number + 1, user_id=1, report_count=1, state=CaseState.ACTED, opened_at=opened,
        first_reported_at=opened, last_reported_at=opened, closed_at=closed, closed_by_id=who.pk)
    CaseClosing.objects.create(opened_at=opened, closed_at=closed, closed_by_id=who.pk)
    AuditEntry.objects.create(
        pk=first_id_at(closed) + number, actor_id=who.pk, actor_name=who.username, action="hide", target_type="post",
        target_id=number + 1, policy_id=policy.pk, policy_name=policy.name, created_at=closed)
"""
# Colours that change slowly are measured at their end. This kind of style sheet passes the content security policy.
_STOP_TRANSITIONS = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("*, *::before, *::after { animation: none !important; transition: none !important; }");
  document.adoptedStyleSheets = [sheet];
}"""
_FIND_ROW = """() => [...document.querySelectorAll("#result_list tbody a")].map(link => link.getAttribute("href"))
  .find(path => path.startsWith(location.pathname) && path.includes("/change/"))"""
_RUN_AXE = "async options => (await axe.run(document, options)).violations"
_MEASURE_WIDTH = "document.scrollingElement.scrollWidth"


class Inspection:
    """Opens pages and notes what is wrong with each."""

    def __init__(self, page: Page, console_errors: list[str]) -> None:
        self.page, self._console_errors = page, console_errors
        self.findings: list[str] = []
        self.names: list[str] = []

    def open(self, path: str) -> None:
        response = self.page.goto(path)
        assert response is not None
        assert response.status == 200, path
        self.inspect(path)

    def inspect(self, name: str) -> None:
        self.names.append(name)
        self.page.evaluate(_STOP_TRANSITIONS)
        self.page.evaluate(AXE_SCRIPT)
        self._note(name, [f"console: {text}" for text in self._console_errors])
        # Only colours differ between light and dark, and only the layout between wide and narrow.
        for screen, scheme in zip(SCREENS, SCHEMES, strict=True):
            self.page.set_viewport_size(screen)
            self.page.emulate_media(color_scheme=scheme)
            where = f"{name} at {screen['width']}, {scheme}"
            width = self.page.evaluate(_MEASURE_WIDTH)
            self._note(where, [f"{width} pixels wide"] if width > screen["width"] else [])
            self._note(where, self._find_violations())
        self._console_errors.clear()  # axe-core itself uses inline styles
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(SCREENS[0])

    def _find_violations(self) -> list[str]:
        options = {"resultTypes": ["violations"], "preload": False}
        return [
            f"{found['id']}: {[node['target'] for node in found['nodes'][:5]]}"
            for found in self.page.evaluate(_RUN_AXE, options)
            if found["impact"] in SERIOUS
        ]

    def _note(self, where: str, findings: list[str]) -> None:
        self.findings += [f"{where}: {finding}" for finding in findings]


def models() -> Iterator[tuple[str, Any]]:
    """Yield (the page names' prefix, admin class) of each registered model."""
    for model in apps.get_models():
        if admin.site.is_registered(model):
            yield url_name(model, "{}"), admin.site.get_model_admin(model)


def inspect_model(inspection: Inspection, names: str, model_admin: Any) -> None:
    """Inspect the list, one row's page with its history, and the confirmation page of one bulk action."""
    page, changelist = inspection.page, reverse(f"admin:{names.format('changelist')}")
    inspection.open(changelist)
    row = page.evaluate(_FIND_ROW)
    assert row, f"{changelist} has no row"
    boxes = page.locator("#result_list input.action-select")
    if getattr(model_admin, "admin_actions", ()) and boxes.count():
        boxes.first.check()
        page.get_by_label("Action:").select_option(index=1)
        with page.expect_navigation():
            page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).click()
        inspection.inspect(f"{changelist}: confirmation")
    inspection.open(row)


@pytest.mark.usefixtures("samples")
def test_all_pages_fit_phones_and_are_accessible(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack, console_errors: list[str]
) -> None:
    admin_stack.manage("shell", "-c", _INSERT_ROWS)
    inspection = Inspection(page, console_errors)
    inspection.open("/admin/login/")
    staff["admin"].sign_in(page)
    for name in ("index", "statistics", "password_change", "password_change_done"):
        inspection.open(reverse(f"admin:{name}"))
    inspection.open(reverse("admin:app_list", args=["accounts"]))
    inspection.open(reverse("admin:backoffice_operatorjob_start", args=["reclassify_celebrities"]))
    for name in ("accounts_invite", "accounts_blockedemaildomain", "accounts_blockednetwork", "auth_group"):
        inspection.open(reverse(f"admin:{name}_add"))
    inspection.open(f"{reverse('admin:accounts_auditentry_changelist')}?from=2020-01-01&to=tomorrow")
    for names, model_admin in models():
        inspect_model(inspection, names, model_admin)
    assert inspection.findings == []
    assert len(inspection.names) > 35


def test_list_on_a_phone_is_cards_with_every_act(page: Page, staff: dict[str, StaffUser]) -> None:
    """Columns are labelled, stacked and above each other; search, filters and actions remain."""
    page.set_viewport_size(SCREENS[1])
    staff["operator"].sign_in(page, "/admin/feeds/fanout/")
    card = page.locator("#result_list tbody tr").first
    cells = card.locator("th, td:not(.action-checkbox)")
    tops = [box["y"] for cell in cells.all() if (box := cell.bounding_box())]
    assert tops == sorted(set(tops))
    assert len(tops) >= 6
    labels = [cell.evaluate("cell => getComputedStyle(cell, '::before').content") for cell in cells.all()[1:]]
    assert labels[:2] == ['"Author"', '"Mode"']
    assert [cell.get_attribute("role") for cell in cells.all()[:2]] == ["rowheader", "cell"]
    card.get_by_role("checkbox").check()
    assert "1 of " in page.locator(".action-counter").inner_text()
    page.get_by_label("Select all objects on this page").check()
    assert page.get_by_label("Action:").is_visible()
    page.get_by_label("Search", exact=True).fill("no.such.author")
    page.get_by_role("link", name="Filter", exact=True).click()
    assert page.locator("#changelist-filter").evaluate("filter => filter.getBoundingClientRect().top") < 844


@pytest.fixture(scope="module")
def closed_cases(admin_stack: LiveStack) -> None:
    admin_stack.manage("shell", "-c", _INSERT_CLOSED_CASES)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.usefixtures("samples", "closed_cases")
def test_pictures_of_dashboard_and_statistics(
    page: Page, staff: dict[str, StaffUser], shoot: Callable[[str], None], width: int
) -> None:
    suffix = "" if width == 1280 else "-phone"
    staff["admin"].sign_in(page)
    page.set_viewport_size(ViewportSize(width=width, height=900 if width == 1280 else 844))
    shoot(f"dashboard{suffix}")
    page.get_by_role("link", name="Moderation statistics").click()
    assert page.locator(".chart svg path.line-1").first.bounding_box()
    assert page.locator(".bar rect").count() > 0
    shoot(f"statistics{suffix}")
