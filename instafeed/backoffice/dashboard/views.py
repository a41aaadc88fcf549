"""The admin's first page: charts and health for operators, the number of open cases for moderators."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from instafeed.backoffice.dashboard import charts, series
from instafeed.backoffice.dashboard.panels import PANELS
from instafeed.core.admin.urls import changelist_url
from instafeed.core.observability.health import HEALTHY_STATUSES, PROBES
from posts.models import Case, CaseState

PROBE_TIMEOUT = 0.2  # seconds; a part that takes longer is not known yet, and the next view knows
MAX_COUNTED_CASES = 1_000  # cases; more are not counted


@dataclass(frozen=True, slots=True)
class HealthBadge:
    part: str
    status: str
    kind: str  # fine, amiss or unknown


@dataclass(frozen=True, slots=True)
class Dashboard:
    charts: list[charts.Chart]
    badges: list[HealthBadge]
    span: str  # of series.SPANS
    spans: list[tuple[str, str]]  # name and label
    newest: datetime | None  # sample

    @property
    def label(self) -> str:
        return series.SPANS[self.span].label


def index_context(request: HttpRequest) -> dict[str, Any]:
    """What the first page shows beside the list of models, by what the user may see."""
    user = request.user
    shown = build_dashboard(request.GET.get("span", "")) if user.has_perm("core.view_sample") else None
    return {"dashboard": shown, "open_cases": count_open_cases() if user.has_perm("posts.view_case") else None}


def build_dashboard(span: str) -> Dashboard:
    """The charts of a span; of the first for a name that is none."""
    span = span if span in series.SPANS else next(iter(series.SPANS))
    samples = series.read_series(series.SPANS[span])
    return Dashboard(
        charts=[charts.draw_chart(figure, samples) for figure in PANELS],
        badges=health_badges(),
        span=span,
        spans=[(name, each.label) for name, each in series.SPANS.items()],
        newest=samples.newest,
    )


def health_badges() -> list[HealthBadge]:
    """How each part is, from the probes of /health."""
    asked = {part: probe.ask() for part, probe in PROBES.items()}
    wait(asked.values(), timeout=PROBE_TIMEOUT)
    return [_health_badge(part, future.result()["status"] if future.done() else "") for part, future in asked.items()]


def _health_badge(part: str, status: str) -> HealthBadge:
    if not status:
        return HealthBadge(part, "no answer yet", "unknown")
    return HealthBadge(part, status, "fine" if status in HEALTHY_STATUSES else "amiss")


def count_open_cases() -> dict[str, str]:
    """How many wait for a moderator, and where."""
    found = Case.objects.filter(state=CaseState.OPEN).order_by().values("pk")[: MAX_COUNTED_CASES + 1].count()
    count = f"{MAX_COUNTED_CASES:,}+" if found > MAX_COUNTED_CASES else f"{found:,}"
    url = changelist_url(Case) if admin.site.is_registered(Case) else ""
    return {"count": count, "label": "open case" if found == 1 else "open cases", "url": url}
