"""The dashboard on the admin's index page: latest values and lines from samples, and who may see them."""

from __future__ import annotations

import re
from concurrent.futures import Future
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instafeed.backoffice.dashboard import charts, panels, series, views
from instafeed.backoffice.dashboard.panels import METRIC_NAMES, PANELS
from instafeed.backoffice.models import Sample
from posts.models import Case, CaseState
from tests.support.factories import UserFactory
from tests.support.staff import admin_client, create_staff, moderator_client, operator_client

pytestmark = pytest.mark.django_db

INDEX = "/admin/"
MAX_QUERIES = 15
VALUES: dict[str, float] = dict.fromkeys(METRIC_NAMES, 1.0)


class Clock:
    minute: datetime  # when the test began; the next minute may begin before it ends


@pytest.fixture(autouse=True)
def clock() -> None:
    Clock.minute = timezone.now().replace(second=0, microsecond=0)


def add_sample(ago: timedelta, **values: float | None) -> None:
    Sample.objects.create(at=Clock.minute - ago, metrics=VALUES | values)


def get_charts(client: Client, span: str = "") -> dict[str, charts.Chart]:
    answer = client.get(INDEX, {"span": span} if span else {})
    assert answer.status_code == 200
    return {chart.title: chart for chart in answer.context["dashboard"].charts}


def latest(chart: charts.Chart) -> list[str]:
    return [line.latest for line in chart.lines]


def count_segments(path: str) -> int:
    return path.count("M")


def test_latest_values_are_formatted_with_units() -> None:
    add_sample(timedelta(minutes=1), jobs_relocation=7)
    add_sample(
        timedelta(0),
        jobs_processingjob=1_234,
        lag_p50=0.25,
        lag_p99=3,
        feeds_warm=410_000,
        replica_lag=None,
        memory_cache=5_200_000_000,
        memory_broker=999,
    )
    charts_by_title = get_charts(operator_client())
    assert latest(charts_by_title["Waiting jobs"]) == ["1,234", "1", "1", "1", "1", "1"]
    assert latest(charts_by_title["Fan-out lag"]) == ["250 ms", "3.0 s"]
    assert latest(charts_by_title["Warm feeds"]) == ["410,000"]
    assert latest(charts_by_title["Redis memory"]) == ["5.2 GB", "999 bytes"]
    assert latest(charts_by_title["Replica lag"]) == [""], "no answer"


def test_rates_are_per_hour_over_the_last_hour() -> None:
    for ago, posts in ((0, 10), (1, 20), (2, None), (61, 1_000)):
        add_sample(timedelta(minutes=ago), posts=posts, reports=0)
    charts_by_title = get_charts(operator_client())
    assert latest(charts_by_title["Posts"]) == ["900"]
    assert latest(charts_by_title["Reports"]) == ["0"]
    assert charts_by_title["Posts"].highest == "60,000"


def test_chart_shows_minimum_and_peak() -> None:
    for number in range(40):
        add_sample(timedelta(minutes=number), lag_p50=0.5, lag_p99=90 if number == 17 else 2)
    chart = get_charts(operator_client())["Fan-out lag"]
    assert (chart.lowest, chart.highest) == ("500 ms", "90.0 s")


def test_missing_samples_and_null_values_leave_gaps() -> None:
    for hours in (1, 2, 3, 6, 7):
        for number in range(0, 60, 5):
            is_missing = hours == 2
            add_sample(timedelta(hours=hours, minutes=number), memory_broker=None if is_missing else 5)
    chart = get_charts(operator_client())["Redis memory"]
    assert [count_segments(line.path) for line in chart.lines] == [2, 3]


def test_stale_or_missing_samples_give_no_latest_value() -> None:
    client = operator_client()
    assert "no sample yet" in client.get(INDEX).content.decode()
    assert all(line.path == "" and line.latest == "" for chart in get_charts(client).values() for line in chart.lines)
    add_sample(timedelta(minutes=10))
    assert all(line.path and line.latest == "" for chart in get_charts(client).values() for line in chart.lines)


def test_every_span_has_at_most_300_points() -> None:
    for hours in (1, 30, 100, 167, 169):
        add_sample(timedelta(hours=hours), jobs_processingjob=hours)
    client = operator_client()
    assert get_charts(client)["Waiting jobs"].highest == "1"
    assert get_charts(client, "week")["Waiting jobs"].highest == "167"
    for span in series.SPANS.values():
        points = series.read_series(span).points
        assert {len(line) for line in points.values()} == {int(span.length / span.step)}
        assert int(span.length / span.step) <= 300
    assert get_charts(client, "bogus").keys() == get_charts(client).keys()


def test_query_count_does_not_depend_on_sample_count() -> None:
    client, counts = operator_client(), []
    add_sample(timedelta(0))
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            get_charts(client, "week")
        counts.append(len(queries))
        moments = [Clock.minute - timedelta(minutes=number) for number in range(1, 7 * 1440)]
        samples = [Sample(at=at, metrics=VALUES) for at in moments]
        Sample.objects.bulk_create(samples, batch_size=2_000, ignore_conflicts=True)
    assert counts[0] == counts[1] <= MAX_QUERIES


def test_charts_are_plain_svg_paths_with_a_label() -> None:
    add_sample(timedelta(0), jobs_processingjob=3)
    page = operator_client().get(INDEX).content.decode()
    assert page.count('<svg viewBox="0 0 300 80"') == len(PANELS)
    assert 'aria-label="Waiting jobs : pictures 3, file moves 1' in page
    paths = re.findall(r'<path class="line-[1-4]" d="([^"]+)"', page)
    assert all(re.fullmatch(r"[MLH0-9. ]+", path) for path in paths), paths


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], ""),
        ([None, None], ""),
        ([0.0, 4.0, 2.0], "M0.0 78.0L150.0 2.0L300.0 40.0"),
        ([None, 4.0, None], "M150.0 2.0L150.0 2.0"),
        ([4.0, None, 4.0], "M0.0 2.0L0.0 2.0M300.0 2.0L300.0 2.0"),
    ],
)
def test_svg_path(points: list[float | None], expected: str) -> None:
    assert charts.svg_path(points, 4.0) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (panels.format_seconds(0.0004), "0 ms"),
        (panels.format_seconds(119), "119.0 s"),
        (panels.format_seconds(600), "10 min"),
        (panels.format_bytes(0), "0 bytes"),
        (panels.format_bytes(1_020_000), "1.02 MB"),
        (panels.format_bytes(5e12), "5,000.0 GB"),
        (panels.format_count(1.5), "1.5"),
        (panels.format_count(1_234_567), "1,234,567"),
    ],
)
def test_number_formats(value: str, text: str) -> None:
    assert value == text


def test_dashboard_needs_operator_and_waiting_work_needs_moderator() -> None:
    add_sample(timedelta(0))
    UserFactory(is_active=False, pending_since=timezone.now())
    plain = admin_client(create_staff()).get(INDEX)
    assert (plain.context["dashboard"], plain.context["waiting_work"]) == (None, [])
    assert b"<figure" not in plain.content
    assert b"open case" not in plain.content
    moderator = moderator_client().get(INDEX)
    assert moderator.context["dashboard"] is None
    assert [(work.count, work.label) for work in moderator.context["waiting_work"]] == [
        ("0", "open cases"),
        ("1", "pending account"),
    ]
    assert b'<a href="/admin/accounts/pendingaccount/"><strong>1</strong>' in moderator.content
    assert operator_client().get(INDEX).context["waiting_work"] == []


def create_cases(count: int, **fields: Any) -> None:
    reported = {"first_reported_at": timezone.now(), "last_reported_at": timezone.now(), "report_count": 1}
    first = Case.objects.count()
    Case.objects.bulk_create(
        Case(pk=number, target_type="post", target_id=number, user_id=1, **reported, **fields)
        for number in range(first + 1, first + count + 1)
    )


def test_open_cases_are_counted_up_to_1000() -> None:
    create_cases(3, state=CaseState.DISMISSED)
    create_cases(1)
    assert (views.count_open_cases().count, views.count_open_cases().label) == ("1", "open case")
    create_cases(views.MAX_COUNTED_ROWS)
    assert views.count_open_cases().count == "1,000+"


def badge_kinds(monkeypatch: pytest.MonkeyPatch, **answers: str | None) -> dict[str, str]:
    """Return the badge of each part for the given probe statuses; None stands for a probe that times out."""

    def probe(answer: str | None) -> SimpleNamespace:
        future: Future[dict[str, str]] = Future()
        if answer:
            future.set_result({"status": answer})
        return SimpleNamespace(ask=lambda: future)

    monkeypatch.setattr(views, "PROBES", {part: probe(answer) for part, answer in answers.items()})
    return {badge.part: badge.kind for badge in views.health_badges()}


def test_health_badges(monkeypatch: pytest.MonkeyPatch) -> None:
    page = operator_client().get(INDEX)
    assert {badge.part for badge in page.context["dashboard"].badges} >= {"database", "replica", "cache", "broker"}
    badges = badge_kinds(monkeypatch, database="ok", replica="off", cache="down", broker=None)
    assert badges == {"database": "healthy", "replica": "healthy", "cache": "unhealthy", "broker": "unknown"}
