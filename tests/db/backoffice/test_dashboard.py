"""The dashboard on the admin's index page: latest values and lines from samples, and who may see them."""

from __future__ import annotations

import re
from concurrent.futures import Future
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from instafeed.backoffice import charts, quantities
from instafeed.backoffice.dashboard import jobs, series, views
from instafeed.backoffice.dashboard.panels import METRIC_NAMES, PANELS
from instafeed.backoffice.jobs import services
from instafeed.backoffice.models import OperatorJob, Sample
from posts.models import Case, CaseState
from tests.support.factories import UserFactory
from tests.support.staff import admin_client, create_staff, moderator_client, operator_client

pytestmark = pytest.mark.django_db

INDEX = "/admin/"
MAX_QUERIES = 15
VALUES: dict[str, float] = dict.fromkeys(METRIC_NAMES, 1.0)


class Clock:
    minute: datetime  # when the test began, and the charts' last one


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the charts' clock: the next minute, which has no sample, may begin before the test ends."""
    now = timezone.now()
    monkeypatch.setattr(series, "timezone", SimpleNamespace(now=lambda: now))
    Clock.minute = now.replace(second=0, microsecond=0)


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
    assert latest(charts_by_title["Waiting jobs"]) == ["1,234", "1", "1", "1", "1", "1", "1"]
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
    assert all(line.dots and line.latest == "" for chart in get_charts(client).values() for line in chart.lines)


def test_every_span_has_at_most_300_points() -> None:
    for hours in (1, 30, 100, 167, 169):
        add_sample(timedelta(hours=hours), jobs_processingjob=hours)
    client = operator_client()
    assert get_charts(client)["Waiting jobs"].highest == "1"
    assert get_charts(client, "week")["Waiting jobs"].highest == "167"
    for span in series.SPANS.values():
        (length,) = {len(line) for line in series.read_series(span).points.values()}
        assert 60 < length <= series.MAX_POINTS
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
    assert 'aria-label="Waiting jobs: pictures 3, file moves 1' in page
    paths = re.findall(r'<path class="(?:grid|(?:dots )?line-[1-4])" d="([^"]+)"', page)
    assert len(paths) > len(PANELS)
    assert all(re.fullmatch(r"[MLHh0-9. ]+", path) for path in paths), paths


@pytest.mark.parametrize(
    ("points", "max_gap", "lines", "dots"),
    [
        ([], 0, "", ""),
        ([None, None], 2, "", ""),
        ([0.0, 4.0, 2.0], 0, "M0.0 78.0L150.0 2.0L300.0 40.0", ""),
        ([None, 4.0, None], 0, "", "M150.0 2.0h0"),
        ([4.0, None, 4.0], 0, "", "M0.0 2.0h0M300.0 2.0h0"),
        ([4.0, None, 4.0], 1, "M0.0 2.0L300.0 2.0", ""),
        ([4.0, None, None, 4.0], 1, "", "M0.0 2.0h0M300.0 2.0h0"),
    ],
)
def test_svg_paths(points: list[float | None], max_gap: int, lines: str, dots: str) -> None:
    assert charts.svg_paths(points, 4.0, max_gap) == (lines, dots)


@pytest.mark.parametrize(
    ("quantity", "highest", "texts"),
    [
        (quantities.COUNT, 0, ["0", "1"]),
        (quantities.COUNT, 3, ["0", "1", "2", "3"]),
        (quantities.COUNT, 4.1, ["0", "2", "4", "6"]),
        (quantities.COUNT, 1_999, ["0", "500", "1,000", "1,500", "2,000"]),
        (quantities.SECONDS, 0.0123, ["0", "5 ms", "10 ms", "15 ms"]),
        (quantities.SECONDS, 35, ["0", "10 s", "20 s", "30 s", "40 s"]),
        (quantities.SECONDS, 500, ["0", "5 min", "10 min"]),
        (quantities.SECONDS, 15_000, ["0", "2 h", "4 h", "6 h"]),
        (quantities.SECONDS, 400_000, ["0", "2 days", "4 days", "6 days"]),
        (quantities.BYTES, 5_200_000_000, ["0", "2 GB", "4 GB", "6 GB"]),
    ],
)
def test_ticks_are_round_and_have_units(quantity: quantities.Quantity, highest: float, texts: list[str]) -> None:
    assert [quantity.format_tick(tick) for tick in charts.choose_ticks(highest, quantity)] == texts


def test_y_axis_ends_at_a_round_value_above_the_peak() -> None:
    for number in range(10):
        add_sample(timedelta(minutes=number), lag_p50=0.5, lag_p99=35)
    chart = get_charts(operator_client())["Fan-out lag"]
    assert list(chart.ticks) == ["40 s", "30 s", "20 s", "10 s", "0"]
    assert chart.lines[1].path.startswith("M0.0 11.5L"), "35 of 40 s"
    assert chart.grid == "M0 2.0H300M0 21.0H300M0 40.0H300M0 59.0H300M0 78.0H300"


def test_short_history_fills_the_chart() -> None:
    """Minutes after the installation: lines from the first sample on, across a sample that came late."""
    for number in (0, 1, 3, 4, 5, 9):
        add_sample(timedelta(minutes=number))
    for span in ("day", "week"):
        chart = get_charts(operator_client(), span)["Fan-out lag"]
        assert chart.begins in ("9 min ago", "10 min ago")
        (line, _) = chart.lines
        assert (line.dots, count_segments(line.path)) == ("M0.0 2.0h0", 1)


def test_first_sample_is_shown_at_once() -> None:
    add_sample(timedelta(0))
    chart = get_charts(operator_client())["Fan-out lag"]
    assert [line.dots for line in chart.lines] == ["M300.0 2.0h0"] * 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (quantities.format_seconds(0.0004), "0 ms"),
        (quantities.format_seconds(119), "119.0 s"),
        (quantities.format_seconds(600), "10 min"),
        (quantities.format_seconds(8_000), "2.2 h"),
        (quantities.format_seconds(200_000), "2.3 days"),
        (quantities.format_bytes(0), "0 bytes"),
        (quantities.format_bytes(1_020_000), "1.02 MB"),
        (quantities.format_bytes(5e12), "5,000.0 GB"),
        (quantities.format_count(1.5), "1.5"),
        (quantities.format_count(1_234_567), "1,234,567"),
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


def start_job(kind: str, operator: User) -> OperatorJob:
    return services.start(kind, {}, operator)


def test_dashboard_shows_unfinished_jobs_and_recently_ended_ones() -> None:
    operator = create_staff("Operator", username="night.shift")
    ended, old = start_job("verify_feeds", operator), start_job("backfill_feeds", operator)
    for job in (ended, old):
        services.cancel(job.pk, operator)
    OperatorJob.objects.filter(pk=old.pk).update(ended_at=timezone.now() - jobs.RECENT)
    running = start_job("verify_feeds", operator)
    page = admin_client(operator).get(INDEX)
    panel = page.context["operator_jobs"]
    assert [job.view.job.pk for job in panel.jobs] == [running.pk, ended.pk]
    assert [job.view.status for job in panel.jobs] == ["queued", "cancelled"]
    text = page.content.decode()
    for job, count in ((running, 1), (ended, 1), (old, 0)):
        assert text.count(f'href="/admin/backoffice/operatorjob/{job.pk}/change/"') == count
    assert "night.shift, requested" in text
    assert text.count('<progress aria-label="Progress of Verify feeds"') == 1


def test_dashboard_shows_few_ended_jobs_at_a_fixed_number_of_queries() -> None:
    operator = create_staff("Operator")
    client, counts = admin_client(operator), []
    for _ in range(2):
        for _ in range(jobs.MAX_ENDED_JOBS):
            services.cancel(start_job("verify_feeds", operator).pk, operator)
        with CaptureQueriesContext(connection) as queries:
            assert len(client.get(INDEX).context["operator_jobs"].jobs) == jobs.MAX_ENDED_JOBS
        counts.append(len(queries))
    assert counts[0] == counts[1] <= MAX_QUERIES


def test_jobs_are_shown_and_started_as_permissions_allow() -> None:
    assert moderator_client().get(INDEX).context["operator_jobs"] is None
    viewer = create_staff()
    viewer.user_permissions.add(Permission.objects.get(codename="view_operatorjob"))
    assert list(admin_client(viewer).get(INDEX).context["operator_jobs"].kinds) == []
    assert b"Start a job" not in admin_client(viewer).get(INDEX).content
    kinds = operator_client().get(INDEX).context["operator_jobs"].kinds
    assert ("Verify feeds", "/admin/backoffice/operatorjob/start/verify_feeds/") in kinds
