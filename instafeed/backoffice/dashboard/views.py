"""The admin's index page: charts, health and jobs for operators, waiting cases and accounts for moderators."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import PendingAccount
from instafeed.backoffice import charts
from instafeed.backoffice.dashboard import jobs, series
from instafeed.backoffice.dashboard.panels import PANELS, Panel
from instafeed.backoffice.statistics.page import statistics_url
from instafeed.core.admin.display import format_duration
from instafeed.core.admin.urls import changelist_url
from instafeed.core.monitoring.health import HEALTHY_STATUSES, PROBES
from posts.models import Case, CaseState

PROBE_TIMEOUT = 0.2  # seconds; a slower probe shows as unknown, and the next page view has its result
MAX_COUNTED_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class HealthBadge:
    part: str
    status: str
    kind: str  # the CSS class: healthy, unhealthy or unknown


@dataclass(frozen=True, slots=True)
class WaitingWork:
    """How many rows wait for a moderator."""

    count: str
    label: str
    url: str  # of their list; empty if the admin has none


@dataclass(frozen=True, slots=True)
class Dashboard:
    charts: list[charts.Chart]
    badges: list[HealthBadge]
    span: str  # a key of series.SPANS
    spans: list[tuple[str, str]]  # (key, label)
    newest: datetime | None  # the time of the newest sample


def index_context(request: HttpRequest) -> dict[str, Any]:
    """Return the index page's context: dashboard, operator jobs and waiting work, as far as permissions allow."""
    user = request.user
    dashboard = build_dashboard(request.GET.get("span", "")) if user.has_perm("backoffice.view_sample") else None
    waiting = [count() for permission, count in _WAITING_WORK if user.has_perm(permission)]
    return {
        "dashboard": dashboard,
        "waiting_work": waiting,
        "statistics_url": statistics_url(user),
        "operator_jobs": jobs.build_panel(user),
    }


def build_dashboard(span: str) -> Dashboard:
    """Build the dashboard for a key of `series.SPANS`. An unknown key gives the first span."""
    span = span if span in series.SPANS else next(iter(series.SPANS))
    samples = series.read_series(series.SPANS[span])
    return Dashboard(
        charts=[_draw_panel(panel, samples) for panel in PANELS],
        badges=health_badges(),
        span=span,
        spans=[(key, each.label) for key, each in series.SPANS.items()],
        newest=samples.newest,
    )


def _draw_panel(panel: Panel, samples: series.Series) -> charts.Chart:
    lines = [
        charts.LineData(line.label, samples.points[line.metric], samples.latest[line.metric]) for line in panel.lines
    ]
    begins = f"{format_duration(samples.length)} ago"
    return charts.draw_chart(panel.title, panel.unit, panel.quantity, lines, begins=begins, max_gap=samples.max_gap)


def health_badges() -> list[HealthBadge]:
    """Run the probes of /health and return one badge for each part."""
    futures = {part: probe.ask() for part, probe in PROBES.items()}
    wait(futures.values(), timeout=PROBE_TIMEOUT)
    return [_health_badge(part, future.result()["status"] if future.done() else "") for part, future in futures.items()]


def _health_badge(part: str, status: str) -> HealthBadge:
    if not status:
        return HealthBadge(part, "no answer yet", "unknown")
    return HealthBadge(part, status, "healthy" if status in HEALTHY_STATUSES else "unhealthy")


def count_open_cases() -> WaitingWork:
    return _count(Case.objects.filter(state=CaseState.OPEN), "open case")


def count_pending_accounts() -> WaitingWork:
    return _count(PendingAccount.objects.filter(pending_since__isnull=False), "pending account")


def _count(rows: QuerySet[Any], label: str) -> WaitingWork:
    count = rows.order_by().values("pk")[: MAX_COUNTED_ROWS + 1].count()
    text = f"{MAX_COUNTED_ROWS:,}+" if count > MAX_COUNTED_ROWS else f"{count:,}"
    url = changelist_url(rows.model) if admin.site.is_registered(rows.model) else ""
    return WaitingWork(text, label if count == 1 else f"{label}s", url)


_WAITING_WORK: tuple[tuple[str, Callable[[], WaitingWork]], ...] = (
    ("posts.view_case", count_open_cases),
    ("accounts.view_pendingaccount", count_pending_accounts),
)
