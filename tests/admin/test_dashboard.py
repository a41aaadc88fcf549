"""The admin's first page: numbers and lines from samples, for those who may see them."""

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
from instafeed.core.models import Sample
from posts.models import Case, CaseState
from tests.staff import admin_client, create_staff, moderator_client, operator_client

pytestmark = pytest.mark.django_db

INDEX = "/admin/"
MOST_QUERIES = 15
VALUES: dict[str, float] = dict.fromkeys(METRIC_NAMES, 1.0)


class Clock:
    minute: datetime  # in which the test began; another may begin before it ends


@pytest.fixture(autouse=True)
def _clock() -> None:
    Clock.minute = timezone.now().replace(second=0, microsecond=0)


def plant(ago: timedelta, **values: float | None) -> None:
    Sample.objects.create(at=Clock.minute - ago, figures=VALUES | values)


def shown(client: Client, span: str = "") -> dict[str, charts.Chart]:
    answer = client.get(INDEX, {"span": span} if span else {})
    assert answer.status_code == 200
    return {chart.title: chart for chart in answer.context["dashboard"].charts}


def now(chart: charts.Chart) -> list[str]:
    return [line.now for line in chart.lines]


def pieces(path: str) -> int:
    return path.count("M")


def test_present_values_are_those_of_the_newest_sample_with_units() -> None:
    plant(timedelta(minutes=1), queue_media=7)
    plant(
        timedelta(0),
        queue_fan_out=1_234,
        lag_p50=0.25,
        lag_p99=3,
        feeds_warm=410_000,
        replica_lag=None,
        memory_cache=5_200_000_000,
        memory_broker=999,
    )
    shows = shown(operator_client())
    assert now(shows["Waiting tasks"]) == ["1,234", "1", "1", "1"]
    assert now(shows["Fan-out lag"]) == ["250 ms", "3.0 s"]
    assert now(shows["Warm feeds"]) == ["410,000"]
    assert now(shows["Redis memory"]) == ["5.2 GB", "999 bytes"]
    assert now(shows["Replica lag"]) == [""], "it did not answer"


def test_rates_are_by_the_hour_over_the_samples_of_the_last_one() -> None:
    for ago, posts in ((0, 10), (1, 20), (2, None), (61, 1_000)):
        plant(timedelta(minutes=ago), posts=posts, reports=0)
    shows = shown(operator_client())
    assert now(shows["Posts"]) == ["900"]
    assert now(shows["Reports"]) == ["0"]
    assert shows["Posts"].highest == "60,000"


def test_lows_and_highs_are_named_and_peaks_are_not_averaged_away() -> None:
    for number in range(40):
        plant(timedelta(minutes=number), lag_p50=0.5, lag_p99=90 if number == 17 else 2)
    chart = shown(operator_client())["Fan-out lag"]
    assert (chart.lowest, chart.highest) == ("500 ms", "90.0 s")


def test_a_gap_in_the_samples_is_a_gap_in_the_line_and_so_is_a_part_that_was_away() -> None:
    for hours in (1, 2, 3, 6, 7):
        for number in range(0, 60, 5):
            away = hours == 2
            plant(timedelta(hours=hours, minutes=number), memory_broker=None if away else 5)
    chart = shown(operator_client())["Redis memory"]
    assert [pieces(line.path) for line in chart.lines] == [2, 3]


def test_without_any_sample_it_says_so_and_without_new_ones_it_gives_no_present_value() -> None:
    client = operator_client()
    assert "no sample yet" in client.get(INDEX).content.decode()
    assert all(line.path == "" and line.now == "" for chart in shown(client).values() for line in chart.lines)
    plant(timedelta(minutes=10))
    assert all(line.path and line.now == "" for chart in shown(client).values() for line in chart.lines)


def test_a_week_is_drawn_in_no_more_points_than_a_day() -> None:
    for hours in (1, 30, 100, 167, 169):
        plant(timedelta(hours=hours), queue_fan_out=hours)
    client = operator_client()
    assert shown(client)["Waiting tasks"].highest == "1"
    assert shown(client, "week")["Waiting tasks"].highest == "167"
    for span in series.SPANS.values():
        points = series.read_series(span).points
        assert {len(line) for line in points.values()} == {int(span.length / span.step)}
        assert int(span.length / span.step) <= 300
    assert shown(client, "bogus").keys() == shown(client).keys()


def test_a_page_costs_the_same_with_many_samples_as_with_few() -> None:
    client, counts = operator_client(), []
    plant(timedelta(0))
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            shown(client, "week")
        counts.append(len(queries))
        moments = [Clock.minute - timedelta(minutes=number) for number in range(1, 7 * 1440)]
        samples = [Sample(at=at, figures=VALUES) for at in moments]
        Sample.objects.bulk_create(samples, batch_size=2_000, ignore_conflicts=True)
    assert counts[0] == counts[1] <= MOST_QUERIES


def test_the_pictures_are_plain_paths_with_a_text_for_those_who_do_not_see_them() -> None:
    plant(timedelta(0), queue_fan_out=3)
    page = operator_client().get(INDEX).content.decode()
    assert page.count('<svg viewBox="0 0 300 80"') == len(PANELS)
    assert 'aria-label="Waiting tasks in the queues: fan-out 3, notifications 1' in page
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
def test_points_become_a_path(points: list[float | None], expected: str) -> None:
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
def test_numbers_are_written_for_people(value: str, text: str) -> None:
    assert value == text


def test_each_sees_what_is_theirs() -> None:
    plant(timedelta(0))
    plain = admin_client(create_staff()).get(INDEX)
    assert (plain.context["dashboard"], plain.context["open_cases"]) == (None, None)
    assert b"<figure" not in plain.content
    assert b"open case" not in plain.content
    theirs = moderator_client().get(INDEX)
    assert theirs.context["dashboard"] is None
    assert theirs.context["open_cases"]["count"] == "0"
    assert operator_client().get(INDEX).context["open_cases"] is None


def cases(count: int, **fields: Any) -> None:
    reported = {"first_reported_at": timezone.now(), "last_reported_at": timezone.now(), "report_count": 1}
    first = Case.objects.count()
    Case.objects.bulk_create(
        Case(pk=number, target_type="post", target_id=number, user_id=1, **reported, **fields)
        for number in range(first + 1, first + count + 1)
    )


def test_open_cases_are_counted_up_to_a_thousand() -> None:
    cases(3, state=CaseState.DISMISSED)
    cases(1)
    assert (views.count_open_cases()["count"], views.count_open_cases()["label"]) == ("1", "open case")
    cases(views.MAX_COUNTED_CASES)
    assert views.count_open_cases()["count"] == "1,000+"


def kinds(monkeypatch: pytest.MonkeyPatch, **answers: str | None) -> dict[str, str]:
    """What the badges say of parts that answer so, or (None) not in time."""

    def asked(answer: str | None) -> SimpleNamespace:
        future: Future[dict[str, str]] = Future()
        if answer:
            future.set_result({"status": answer})
        return SimpleNamespace(ask=lambda: future)

    monkeypatch.setattr(views, "PROBES", {part: asked(answer) for part, answer in answers.items()})
    return {badge.part: badge.kind for badge in views.health_badges()}


def test_the_health_of_each_part_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    page = operator_client().get(INDEX)
    assert {badge.part for badge in page.context["dashboard"].badges} >= {"database", "replica", "cache", "broker"}
    shows = kinds(monkeypatch, database="ok", replica="off", cache="down", broker=None)
    assert shows == {"database": "fine", "replica": "fine", "cache": "amiss", "broker": "unknown"}
