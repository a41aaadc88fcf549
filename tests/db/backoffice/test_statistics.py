"""Statistics for moderators: what they count, and that indexes answer them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Policy, Severity
from instafeed.backoffice.statistics import figures, page
from instafeed.core.db.snowflake import first_id_at
from posts import moderation
from posts.models import Case, CaseClosing, CaseState
from tests.db.posts.moderation_cases import account_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory
from tests.support.query_plans import plan_nodes
from tests.support.staff import create_staff, moderator_client

pytestmark = pytest.mark.django_db

MAX_QUERIES = 15
COUNTED_TABLES = ("posts_case", "posts_caseclosing", "accounts_auditentry")
MANY_ROWS = 30_000  # so many that the planner uses indexes
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_numbers = count(1)

_FILL = """
WITH cases AS (
    INSERT INTO posts_case (target_type, target_id, user_id, report_count, first_reported_at, last_reported_at,
                            opened_at, state, closed_at, closed_by_id)
    SELECT 'post', n, n, 1, at, at, at, CASE WHEN n %% 10 = 0 THEN 0 ELSE 1 + n %% 2 END,
           CASE WHEN n %% 10 <> 0 THEN at + make_interval(hours => n %% 50) END,
           CASE WHEN n %% 10 <> 0 THEN n %% 7 END
    FROM generate_series(1, %(count)s) AS n, LATERAL (SELECT now() - make_interval(mins => 60 * n / 10) AS at) AS moment
    RETURNING opened_at, closed_at, closed_by_id
), closings AS (
    INSERT INTO posts_caseclosing (opened_at, closed_at, closed_by_id)
    SELECT opened_at, closed_at, closed_by_id FROM cases WHERE closed_at IS NOT NULL
)
INSERT INTO accounts_auditentry (id, actor_id, actor_name, action, target_type, target_id, reason, before, after,
                                 policy_id, policy_name)
SELECT instafeed_id_at(now() - make_interval(mins => 60 * n / 10)), 1, 'mod', 'hide', 'post', n, '', '{}', '{}',
       CASE WHEN n %% 3 > 0 THEN n %% 3 END, ''
FROM generate_series(1, %(count)s) AS n
"""


def midnight() -> datetime:
    return datetime.combine(timezone.now().date(), time.min, UTC)


def add_case(opened: datetime, closed: datetime | None = None, by: int = 1, **fields: Any) -> Case:
    state = CaseState.ACTED if closed else CaseState.OPEN
    number = next(_numbers)
    if closed:
        CaseClosing.objects.create(opened_at=opened, closed_at=closed, closed_by_id=by)
    return Case.objects.create(
        target_type="post",
        target_id=number,
        user_id=1,
        first_reported_at=opened,
        last_reported_at=opened,
        opened_at=opened,
        state=state,
        closed_at=closed,
        closed_by_id=by if closed else None,
        **fields,
    )


def add_policy(name: str) -> Policy:
    return Policy.objects.create(name=name, text="No.", severity=Severity.LOW)


def cite(policy: Policy, at: datetime) -> None:
    AuditEntry.objects.create(
        pk=first_id_at(at) + next(_numbers),
        actor_id=1,
        actor_name="mod",
        action="hide",
        target_type="post",
        target_id=1,
        policy_id=policy.pk,
        policy_name=policy.name,
    )


def get_context(client: Client, days: str = "7") -> Any:
    response = client.get(reverse("admin:statistics"), {"days": days})
    assert response.status_code == 200
    return response.context


def tiles(context: Any) -> dict[str, str]:
    return {tile.label: tile.value for tile in context["tiles"]}


def bars(context: Any, unit: str) -> list[tuple[str, str, float]]:
    (chart,) = (chart for chart in context["bar_charts"] if chart.unit == unit)
    return [(bar.label, bar.value, bar.width) for bar in chart.bars]


def test_open_cases_are_counted_by_severity() -> None:
    now = timezone.now()
    for age, severity in ((3 * HOUR, Severity.LOW), (5 * HOUR, Severity.HIGH), (2 * HOUR, Severity.HIGH)):
        add_case(now - age, severity=severity)
    add_case(now - 9 * DAY, now)
    context = get_context(moderator_client())
    (open_now, *_) = context["tiles"]
    assert (open_now.value, open_now.note, open_now.url) == ("3", "the oldest for 5 h", "/admin/posts/case/")
    assert bars(context, "by severity") == [("high", "2", 100.0), ("low", "1", 50.0)]


def test_cases_are_counted_by_day_with_the_median_age_of_closed_ones() -> None:
    today = midnight()
    for opened, closed in (
        (today, today),  # the first moment of today
        (today - 2 * DAY, today - DAY),  # the first moment of yesterday
        (today - 5 * HOUR, today - HOUR),
        (today - 2 * HOUR, today - timedelta(microseconds=1)),
        (today - 6 * DAY, None),
        (today - 7 * DAY, today - 7 * DAY),  # before the period
    ):
        add_case(opened, closed)
    days = figures.count_by_day((today - 6 * DAY).date())
    assert [day.day for day in days] == [(today - number * DAY).date() for number in range(6, -1, -1)]
    assert [day.opened for day in days] == [1, 0, 0, 0, 1, 2, 1]
    assert [day.closed for day in days] == [0, 0, 0, 0, 0, 3, 1]
    assert [day.median_age for day in days] == [*[None] * 5, 4 * HOUR, timedelta(0)]
    shown = tiles(get_context(moderator_client()))
    assert (shown["opened today"], shown["closed today"], shown["closed in 7 days"]) == ("1", "1", "4")


def test_a_case_that_is_opened_again_counts_again() -> None:
    moderator, author = create_staff("Moderator", username="mod"), ApiUser()
    post = create_post_target(author)
    today, yesterday = midnight().date(), (midnight() - DAY).date()
    file_reports(post)
    Case.objects.update(opened_at=midnight() - DAY)
    assert moderation.dismiss(moderator, post, expected_version=1)
    CaseClosing.objects.update(closed_at=midnight() - HOUR)
    before = figures.count_by_day(yesterday)[0]
    assert (before.opened, before.closed, before.median_age) == (1, 1, 23 * HOUR)

    file_reports(post)
    assert Case.objects.get().state == CaseState.OPEN
    assert [(day.opened, day.closed) for day in figures.count_by_day(yesterday)] == [(1, 1), (1, 0)]
    assert figures.count_by_day(yesterday)[0] == before

    assert moderation.hide(moderator, post, "spam")
    assert [(day.opened, day.closed) for day in figures.count_by_day(yesterday)] == [(1, 1), (1, 1)]
    assert [share.count for share in figures.count_by_moderator(yesterday, 5)] == [2]
    assert [share.count for share in figures.count_by_moderator(today, 5)] == [1]


def test_a_suspension_that_closes_two_cases_counts_both() -> None:
    moderator, author = create_staff("Moderator", username="mod"), ApiUser()
    post = create_post_target(author)
    for target in (post, account_target(author)):
        file_reports(target)
    assert moderation.suspend_author(moderator, post, None, "spam")
    assert figures.count_by_day(midnight().date())[0].closed == 2
    assert AuditEntry.objects.count() == 1


def test_charts_have_a_line_for_each_figure() -> None:
    today = midnight()
    add_case(today - 3 * DAY, today - DAY)
    add_case(today - DAY, today)
    context = get_context(moderator_client())
    cases, ages = context["charts"]
    assert [line.label for line in cases.lines] == ["opened", "closed"]
    assert [line.path.count("L") for line in cases.lines] == [6, 6]
    assert (list(ages.ticks), ages.lines[0].path) == (["2 days", "36 h", "24 h", "12 h", "0"], "M250.0 2.0L300.0 40.0")
    assert (cases.begins, cases.ends) == (f"{today - 6 * DAY:%-d %b}", "today")


def test_closed_cases_are_counted_by_moderator() -> None:
    now, busy, erased = timezone.now(), create_staff(username="busy"), 2**40
    for by in (busy.pk, busy.pk, erased):
        add_case(now - DAY, now, by)
    add_case(now - 20 * DAY, now - 10 * DAY, UserFactory().pk)
    assert bars(get_context(moderator_client()), "by moderator") == [("@busy", "2", 100.0), ("erased", "1", 50.0)]


def test_actions_are_counted_by_policy_with_links_to_the_log() -> None:
    today, spam, hate = midnight(), add_policy("No spam"), add_policy("No hate")
    add_policy("Unused")
    for policy, at in ((spam, today), (hate, today), (hate, today - 6 * DAY), (spam, today - 6 * DAY - HOUR)):
        cite(policy, at)
    client = moderator_client()
    context = get_context(client)
    assert bars(context, "by policy") == [("No hate", "2", 100.0), ("No spam", "1", 50.0)]
    (chart,) = (chart for chart in context["bar_charts"] if chart.unit == "by policy")
    found = client.get(chart.bars[0].url).context["cl"].result_list
    assert {entry.policy_name for entry in found} == {"No hate"}
    assert len(found) == 2


@pytest.mark.parametrize(
    ("given", "period"), [("7", 7), ("30", 30), ("90", 90), ("", 30), ("8", 30), ("x", 30), ("\0", 30)]
)
def test_period_is_one_of_three(given: str, period: int) -> None:
    context = get_context(moderator_client(), given)
    assert context["period"] == period
    assert f"closed in {period} days" in tiles(context)


def test_page_without_any_case() -> None:
    context = get_context(moderator_client())
    assert set(tiles(context).values()) == {"0", "–"}
    assert [chart.bars for chart in context["bar_charts"]] == [[], [], []]


def test_index_links_to_statistics_for_moderators_only() -> None:
    url = reverse("admin:statistics")
    assert f'href="{url}"' in moderator_client().get("/admin/").content.decode()
    assert url not in Client().get("/admin/login/").content.decode()
    newcomer = Client()
    newcomer.force_login(create_staff())
    assert url not in newcomer.get("/admin/").content.decode()


@pytest.mark.usefixtures("fresh_tables")
def test_indexes_answer_every_figure() -> None:
    """With the planner's own choice, statistics that are up to date, and 30,000 cases and audit entries of 125 days."""
    for policy_id in (1, 2):
        Policy.objects.create(pk=policy_id, name=f"Policy {policy_id}", text="No.", severity=Severity.LOW)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"count": MANY_ROWS})
        cursor.execute("ANALYZE posts_case, posts_caseclosing, accounts_auditentry, accounts_policy")
    client, scans = moderator_client(), set()
    for period in page.PERIODS:
        with CaptureQueriesContext(connection) as queries:
            get_context(client, str(period))
        assert len(queries) <= MAX_QUERIES
        for sql in (query["sql"] for query in queries):
            if not any(table in sql for table in COUNTED_TABLES):
                continue
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
                nodes = list(plan_nodes(cursor.fetchone()[0][0]["Plan"]))
            scans |= {
                (node["Node Type"], node.get("Index Name", ""))
                for node in nodes
                if node.get("Relation Name") in COUNTED_TABLES or "Index Name" in node
            }
    used = {index for _, index in scans}
    assert used >= {"case_open", "closing_opened", "closing_closed"}
    assert used & {"audit_policy", "accounts_auditentry_pkey"}, "either: most of these entries have a policy"
    assert not [scan for scan in scans if scan[0] in ("Seq Scan", "Sample Scan")], scans
