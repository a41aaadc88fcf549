"""The admin's first page: charts and health for operators, the number of open cases for moderators."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from instafeed.admin import charts, series
from instafeed.admin.figures import FIGURES
from instafeed.admin.pages import list_url
from instafeed.health import FINE, PROBES
from posts.models import Case, CaseState

PATIENCE = 0.2  # seconds; a part that takes longer is not known yet, and the next view knows
MANY = 1_000  # cases; more are not counted


@dataclass(frozen=True, slots=True)
class Badge:
    part: str
    status: str
    kind: str  # fine, amiss or unknown


@dataclass(frozen=True, slots=True)
class Dashboard:
    charts: list[charts.Chart]
    badges: list[Badge]
    span: str  # of series.SPANS
    spans: list[tuple[str, str]]  # name and label
    newest: datetime | None  # sample

    @property
    def label(self) -> str:
        return series.SPANS[self.span].label


def context(request: HttpRequest) -> dict[str, Any]:
    """What the first page shows beside the list of models, by what the user may see."""
    user = request.user
    shown = read(request.GET.get("span", "")) if user.has_perm("instafeed.view_sample") else None
    return {"dashboard": shown, "open_cases": open_cases() if user.has_perm("posts.view_case") else None}


def read(span: str) -> Dashboard:
    """The charts of a span; of the first for a name that is none."""
    span = span if span in series.SPANS else next(iter(series.SPANS))
    samples = series.read(series.SPANS[span])
    return Dashboard(
        charts=[charts.chart(figure, samples) for figure in FIGURES],
        badges=badges(),
        span=span,
        spans=[(name, each.label) for name, each in series.SPANS.items()],
        newest=samples.newest,
    )


def badges() -> list[Badge]:
    """How each part is, from the probes of /health."""
    asked = {part: probe.ask() for part, probe in PROBES.items()}
    wait(asked.values(), timeout=PATIENCE)
    return [_badge(part, future.result()["status"] if future.done() else "") for part, future in asked.items()]


def _badge(part: str, status: str) -> Badge:
    if not status:
        return Badge(part, "no answer yet", "unknown")
    return Badge(part, status, "fine" if status in FINE else "amiss")


def open_cases() -> dict[str, str]:
    """How many wait for a moderator, and where."""
    found = Case.objects.filter(state=CaseState.OPEN).order_by().values("pk")[: MANY + 1].count()
    count = f"{MANY:,}+" if found > MANY else f"{found:,}"
    url = list_url(Case) if admin.site.is_registered(Case) else ""
    return {"count": count, "label": "open case" if found == 1 else "open cases", "url": url}
