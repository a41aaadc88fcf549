"""Measure every list, filter, search and detail page of the admin, the dashboard and the statistics.

There are a million users, two million posts, 300,000 cases and 500,000 audit entries, most of the last 90 days.

A signed-in superuser requests each page through all middleware in this process, so time and queries are the server's
own, without the network. The yardstick is Django's list of three groups, which reads almost no data: what a page
takes beyond it depends on the page's data.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.db.models import Max, Min
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Policy, User
from benchmarks import bulk_rows
from benchmarks.harness import Stack, load_average, log
from benchmarks.results import Result
from instafeed.backoffice.dashboard.jobs import MAX_ENDED_JOBS
from instafeed.backoffice.jobs import services
from instafeed.backoffice.jobs.kinds import KINDS
from instafeed.backoffice.models import Sample
from instafeed.backoffice.statistics.page import PERIODS

USERS, QUICK_USERS = 1_000_000, 3_000
SAMPLES = 7 * 24 * 60  # of a week
REQUESTS_PER_PAGE = 7
TARGET_MAX_MS = 300
MAX_QUERIES = 15
# More closed cases and audit entries than the site's rows have, spread over the time that the statistics cover.
MODERATION_DAYS, MODERATORS = 90, 20
_INSERT_CASES = """
INSERT INTO posts_case (target_type, target_id, user_id, report_count, reason_counts, first_reported_at,
                        last_reported_at, opened_at, state, closed_at, closed_by_id)
SELECT 'user', %(user)s + n, %(user)s + n, 1, '{"spam": 1}', at, at, at, 1 + n %% 2,
       least(now(), at + make_interval(mins => 5 + n * 7919 %% 3000)), %(user)s + n %% %(moderators)s
FROM generate_series(0, %(users)s / 5 - 1) AS n,
LATERAL (SELECT now() - make_interval(secs => n * %(seconds)s / (%(users)s / 5)) AS at) AS opened
"""
_INSERT_CLOSINGS = """
INSERT INTO posts_caseclosing (opened_at, closed_at, closed_by_id)
SELECT opened_at, closed_at, coalesce(closed_by_id, 1) FROM posts_case WHERE closed_at IS NOT NULL ORDER BY closed_at
"""
_INSERT_ENTRIES = """
INSERT INTO accounts_auditentry (id, actor_id, actor_name, action, target_type, target_id, user_id, reason, policy_id,
                                 policy_name, before, after, created_at)
SELECT instafeed_id_at(at), %(user)s + n %% %(moderators)s, 'moderator',
       CASE WHEN n %% 3 = 0 THEN 'warn' ELSE 'hide' END, 'user', %(user)s + n, %(user)s + n, 'Spam.',
       (%(policies)s::bigint[])[n %% 8 + 1], coalesce((%(names)s::text[])[n %% 8 + 1], ''), '{}', '{}', at
FROM generate_series(0, %(users)s * 3 / 10 - 1) AS n,
LATERAL (SELECT now() - make_interval(secs => n * %(seconds)s / (%(users)s * 3 / 10)) AS at) AS written
"""
APP_LABELS = {"accounts", "posts", "feeds", "media", "backoffice"}


@dataclass(frozen=True)
class Page:
    name: str
    url: str
    milliseconds: float  # median
    slowest: float
    queries: int
    status: int


def run(stack: Stack, *, quick: bool) -> Result:
    bulk_rows.insert_rows(QUICK_USERS if quick else USERS, log)
    insert_samples(300 if quick else SAMPLES)
    insert_moderation(QUICK_USERS if quick else USERS)
    client = Client(headers={"host": "127.0.0.1"})
    staff = User.objects.create_superuser("benchmark", "benchmark@example.org", "benchmark-secret")
    client.force_login(staff)
    insert_jobs(staff)
    tries = 1 if quick else REQUESTS_PER_PAGE
    yardstick = _measure(client, "groups", reverse("admin:auth_group_changelist"), tries)
    measured = [_measure(client, name, url, tries) for name, url in pages(staff)]
    again = _measure(client, "groups", yardstick.url, tries)
    return _result(measured, [yardstick, again])


def insert_samples(count: int) -> None:
    """Insert one row for each minute, with the metrics of one real sample."""
    from instafeed.backoffice.tasks import take_sample

    take_sample()
    metrics = Sample.objects.get().metrics
    now = timezone.now().replace(second=0, microsecond=0)
    Sample.objects.all().delete()
    Sample.objects.bulk_create(Sample(at=now - timedelta(minutes=age), metrics=metrics) for age in range(count))


def insert_moderation(users: int) -> None:
    """Insert closed cases and audit entries that cite policies, spread over `MODERATION_DAYS`."""
    policies = dict(Policy.objects.values_list("pk", "name"))
    values = {
        "user": User.objects.aggregate(first=Min("pk"))["first"],
        "users": users,
        "moderators": MODERATORS,
        "seconds": MODERATION_DAYS * 86_400.0,
        "policies": list(policies),
        "names": list(policies.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_CASES, values)
        cursor.execute(_INSERT_CLOSINGS)
        cursor.execute(_INSERT_ENTRIES, values)
        cursor.execute("VACUUM ANALYZE posts_case, posts_caseclosing, accounts_auditentry")


def insert_jobs(operator: User) -> None:
    """Insert jobs that have ended, and one of each kind that waits: the stack has no worker for them."""
    for _ in range(MAX_ENDED_JOBS):
        services.cancel(services.start("verify_feeds", {}, operator).pk, operator)
    for kind in KINDS:
        services.start(kind, {}, operator)


def pages(staff: User) -> Iterator[tuple[str, str]]:
    """Yield name and path of each page of each model that the project registers in the admin."""
    yield "index", reverse("admin:index")
    yield "index, a week", f"{reverse('admin:index')}?span=week"
    for days in PERIODS:
        yield f"statistics of {days} days", f"{reverse('admin:statistics')}?days={days}"
    yield from _audit_log_pages()
    for model in apps.get_models():
        meta: Any = model._meta
        if meta.app_label not in APP_LABELS or not admin.site.is_registered(model):
            continue
        page = admin.site.get_model_admin(model)
        changelist = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        yield meta.model_name, changelist
        full_list = _changelist(page, staff, changelist)
        yield f"{meta.model_name} last page", f"{changelist}?p={full_list.paginator.num_pages}"
        for query in _filters(full_list):
            yield f"{meta.model_name} {query}", f"{changelist}{query}"
        if page.search_fields:
            for word in ("user777", "user777@example.com", "nobody.at.all", str(_newest_id(model))):
                yield f"{meta.model_name} search {word[:20]}", f"{changelist}?{urlencode({'q': word})}"
        for which, key in _oldest_and_newest_ids(page, staff):
            yield (
                f"{meta.model_name} detail {which}",
                reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[key]),
            )


def _audit_log_pages() -> Iterator[tuple[str, str]]:
    """Yield the log between two days in the middle of its time, alone and with each other condition."""
    today = timezone.now().date()
    span = {"from": today - timedelta(days=50), "to": today - timedelta(days=40)}
    actor, policy = User.objects.aggregate(first=Min("pk"))["first"], Policy.objects.order_by("pk").first()
    more = [{}, {"action": "warn"}, {"action": "export"}, {"actor_id": actor}, {"user_id": actor}, {"q": "user777"}]
    if policy:
        more.append({"policy_id": policy.pk})
    for condition in more:
        query = urlencode(span | condition)
        yield f"auditentry {query}", f"{reverse('admin:accounts_auditentry_changelist')}?{query}"


def _changelist(page: admin.ModelAdmin[Any], staff: User, path: str) -> ChangeList:
    return page.get_changelist_instance(_request(staff, path))


def _request(staff: User, path: str) -> WSGIRequest:
    request = RequestFactory().get(path)
    request.user = staff
    return request


def _filters(changelist: ChangeList) -> Iterable[str]:
    """Return the query string of every filter choice of the list."""
    return [
        str(choice["query_string"])
        for filter_ in changelist.filter_specs
        for choice in filter_.choices(changelist)
        if choice["query_string"] not in ("", "?")
    ]


def _oldest_and_newest_ids(page: admin.ModelAdmin[Any], staff: User) -> list[tuple[str, Any]]:
    """Return the ends of the rows that the page shows, which may be a part of the model's."""
    ends = page.get_queryset(_request(staff, "/")).order_by().aggregate(oldest=Min("pk"), newest=Max("pk"))
    return [(which, key) for which, key in ends.items() if key is not None]


def _newest_id(model: type[Any]) -> Any:
    return model._default_manager.aggregate(newest=Max("pk"))["newest"]


def _measure(client: Client, name: str, url: str, tries: int) -> Page:
    with CaptureQueriesContext(connection) as queries:
        status = client.get(url).status_code
    query_count = len(queries)  # read now, because the next request clears the log
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        client.get(url)
        times.append((time.perf_counter() - started) * 1000)
    page = Page(name, url, median(times), max(times), query_count, status)
    log(f"{page.milliseconds:7.1f} ms  {page.queries:2} queries  {page.name}")
    return page


def _result(pages: list[Page], yardsticks: list[Page]) -> Result:
    slowest = max(pages, key=lambda page: page.milliseconds)
    most = max(pages, key=lambda page: page.queries)
    yardstick = median(page.milliseconds for page in yardsticks)
    figures = {
        "pages": float(len(pages)),
        "median_ms": median(page.milliseconds for page in pages),
        "slowest_ms": slowest.milliseconds,
        "slowest_try_ms": max(page.slowest for page in pages),
        "most_queries": float(most.queries),
        "yardstick_ms": yardstick,
        "load_average": load_average(),
    }
    log(f"the slowest page is {slowest.name}; the page with most queries is {most.name}")
    return Result(
        "admin",
        figures,
        {"median": figures["median_ms"] / yardstick, "slowest": slowest.milliseconds / yardstick},
        {
            "not_a_page": sum(page.status != 200 for page in pages),
            "too_many_queries": sum(page.queries > MAX_QUERIES for page in pages),
        },
        {"slowest_ms": f"< {TARGET_MAX_MS}", "most_queries": f"<= {MAX_QUERIES}"},
    )
