"""The page of statistics for moderators: figures of the last days as charts and bars, drawn by the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from instafeed.backoffice.charts import Chart, LineData, draw_chart
from instafeed.backoffice.quantities import COUNT, SECONDS
from instafeed.backoffice.statistics import figures
from instafeed.backoffice.statistics.figures import Day, OpenCases, Share
from instafeed.core.admin.display import format_age, format_duration
from instafeed.core.admin.urls import change_url, changelist_url
from posts.models import Case

PERMISSION = "posts.view_case"
PERIODS = (7, 30, 90)  # days, today included
DEFAULT_PERIOD = 30
MAX_BARS = 20


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: str
    width: float  # per cent of the longest bar
    url: str = ""


@dataclass(frozen=True, slots=True)
class BarChart:
    title: str
    unit: str
    bars: Sequence[Bar]


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the page's context, at six queries. Raises PermissionDenied."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    given = request.GET.get("days", "")
    period = next((days for days in PERIODS if str(days) == given), DEFAULT_PERIOD)
    first = timezone.now().date() - timedelta(days=period - 1)
    open_cases, days = figures.count_open_cases(), figures.count_by_day(first)
    may_view_log = request.user.has_perm("accounts.view_auditentry")
    log = f"{changelist_url(AuditEntry)}?from={first}" if may_view_log else ""
    return {
        "title": "Moderation statistics",
        "period": period,
        "periods": PERIODS,
        "tiles": _tiles(open_cases, days),
        "charts": _charts(days),
        "bar_charts": [
            BarChart("Open cases", "by severity", _severity_bars(open_cases)),
            BarChart("Actions", "by policy", _policy_bars(figures.count_by_policy(first, MAX_BARS), log)),
            BarChart("Closed cases", "by moderator", _moderator_bars(figures.count_by_moderator(first, MAX_BARS))),
        ],
    }


def statistics_url(user: Any) -> str:
    """Return the page's URL, or nothing if the user may not view it."""
    return reverse("admin:statistics") if user.has_perm(PERMISSION) else ""


def _tiles(open_cases: Sequence[OpenCases], days: Sequence[Day]) -> list[Tile]:
    today = days[-1]
    oldest = min((cases.oldest for cases in open_cases), default=None)
    waits = f"the oldest for {format_age(timezone.now() - oldest)}" if oldest else ""
    return [
        Tile("open now", f"{sum(cases.count for cases in open_cases):,}", waits, changelist_url(Case)),
        Tile("opened today", f"{today.opened:,}"),
        Tile("closed today", f"{today.closed:,}"),
        Tile("median age at closing today", format_duration(today.median_age) if today.median_age else "–"),
        Tile(f"closed in {len(days)} days", f"{sum(day.closed for day in days):,}"),
    ]


def _charts(days: Sequence[Day]) -> list[Chart]:
    begins = f"{days[0].day:%-d %b}"
    opened = LineData("opened", [day.opened for day in days], days[-1].opened)
    closed = LineData("closed", [day.closed for day in days], days[-1].closed)
    ages = [None if day.median_age is None else day.median_age.total_seconds() for day in days]
    age = LineData("median", ages, ages[-1])
    return [
        draw_chart("Cases", "by day", COUNT, [opened, closed], begins=begins, ends="today"),
        # A day without a closing is no gap.
        draw_chart("Age at closing", "by day", SECONDS, [age], begins=begins, ends="today", max_gap=len(days)),
    ]


def _severity_bars(open_cases: Sequence[OpenCases]) -> list[Bar]:
    return _bars([(cases.severity.label, cases.count, "") for cases in open_cases])


def _policy_bars(shares: Sequence[Share], log: str) -> list[Bar]:
    return _bars([(share.name, share.count, f"{log}&policy_id={share.id}" if log else "") for share in shares])


def _moderator_bars(shares: Sequence[Share]) -> list[Bar]:
    return _bars(
        [
            (f"@{share.name}", share.count, change_url(User, share.id)) if share.name else ("erased", share.count, "")
            for share in shares
        ]
    )


def _bars(rows: Sequence[tuple[str, int, str]]) -> list[Bar]:
    longest = max((count for _, count, _ in rows), default=1)
    return [Bar(label, f"{count:,}", round(100 * count / longest, 1), url) for label, count, url in rows]
