"""Lists and pages with many rows: a fixed number of queries, answered by indexes, for every URL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import OutgoingMail, User
from feeds.models import FanOut
from instafeed.core.admin.base import MAX_LISTED_ROWS, PAGE_SIZE
from media.models import Media, ProcessingJob
from posts.models import Post
from tests.support.factories import UserFactory
from tests.support.staff import moderator_client, operator_client, run_bulk_action, superuser_client

pytestmark = pytest.mark.django_db

FAN_OUTS, MEDIA, MAILS = "/admin/feeds/fanout/", "/admin/media/media/", "/admin/accounts/outgoingmail/"
MAX_QUERIES = 15
MANY_ROWS = 30_000  # so many that the planner uses indexes

_FILL = """
WITH inserted AS (
    INSERT INTO posts_post (author_id, caption)
    SELECT (%(users)s::bigint[])[1 + n %% cardinality(%(users)s::bigint[])], '' FROM generate_series(1, %(count)s) AS n
    RETURNING id, author_id
), pictures AS (
    INSERT INTO media_media (owner_id, status, key, is_attached, original_path)
    SELECT author_id, CASE WHEN id %% 5000 = 0 THEN 3 WHEN id %% 5000 = 1 THEN 1 ELSE 2 END, 'k' || id, true, 'x'
    FROM inserted RETURNING id, owner_id, status
), jobs AS (
    INSERT INTO media_processingjob (media_id, owner_id, turn) SELECT id, owner_id, id FROM pictures WHERE status = 1
), mails AS (
    INSERT INTO accounts_outgoingmail (kind, address, user_id, state)
    SELECT 'verify', 'a@example.org', author_id, CASE WHEN id %% 5000 < 2 THEN 3 ELSE 0 END FROM inserted
)
INSERT INTO feeds_fanout (post_id, author_id, mode, state, due_at, finished_at, error)
SELECT id, author_id, 0, CASE WHEN id %% 5000 < 2 THEN 3 WHEN id %% 5000 < 4 THEN 0 ELSE 2 END, now(), now(), ''
FROM inserted
"""


def fill(count: int) -> None:
    users = [UserFactory().pk for _ in range(30)]
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"users": users, "count": count})
        for model in (Post, FanOut, Media, ProcessingJob, User, OutgoingMail):
            cursor.execute(f"ANALYZE {model._meta.db_table}")


def capture_queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200, (url, response.content[:300])
    return [query["sql"] for query in queries]


def urls() -> Iterator[str]:
    name = User.objects.filter(fan_out_set__isnull=False).first()
    for url, parameter, values in (
        (FAN_OUTS, "state", ("open", "dead", "done")),
        (MEDIA, "status", ("uploading", "processing", "ready", "failed")),
        (MAILS, "state", ("open", "dead")),
    ):
        yield url
        yield f"{url}?p=3"
        yield f"{url}?q={name}"
        yield from (f"{url}?{parameter}={value}" for value in values)
    yield f"{FAN_OUTS}?q={FanOut.objects.latest('pk').pk}"
    yield f"{FAN_OUTS}{FanOut.objects.latest('pk').pk}/change/"
    yield f"{MEDIA}{Media.objects.latest('pk').pk}/change/"
    yield f"{MAILS}{OutgoingMail.objects.latest('pk').pk}/change/"


def test_query_count_does_not_depend_on_row_count() -> None:
    client = superuser_client()
    fill(3 * PAGE_SIZE)
    few = [len(capture_queries(client, url)) for url in urls()]
    fill(2_000)
    many = [len(capture_queries(client, url)) for url in urls()]
    assert max(few + many) <= MAX_QUERIES
    assert [now <= before for before, now in zip(few, many, strict=True)] == [True] * len(few), (few, many)


@pytest.mark.usefixtures("fresh_tables")
def test_lists_do_not_scan_whole_tables() -> None:
    """With the planner's own choice and a large table. A filter without an index reads rows until the page is full.

    That is soon, as nearly all rows are ready or done.
    """
    fill(MANY_ROWS)
    client, plain = (
        superuser_client(),
        ("state=done", "status=ready", "fanout/", "media/", "outgoingmail/", "state=open", "?p=3"),
    )
    for url in urls():
        for sql in capture_queries(client, url):
            if not any(table in sql for table in ("feeds_fanout", "media_media", "accounts_outgoingmail")):
                continue
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON) {sql}")
                (plan,) = cursor.fetchone()[0]
            assert count_read_rows(plan["Plan"]) <= 3 * MAX_LISTED_ROWS, (url, sql, plan)
            if not url.endswith(plain):
                assert "Seq Scan on feeds" not in str(plan)


def count_read_rows(plan: dict) -> int:
    """Return the number of rows read, including those that a filter removed."""
    if plan["Node Type"] == "Append":  # hands on the rows of partitions
        return sum(map(count_read_rows, plan["Plans"]))
    own = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
    return int(own) + sum(count_read_rows(below) for below in plan.get("Plans", []))


def test_list_is_bounded() -> None:
    fill(MAX_LISTED_ROWS + 100)
    response = operator_client().get(FAN_OUTS)
    assert response.context["cl"].paginator.count == MAX_LISTED_ROWS
    assert len(response.context["cl"].result_list) == PAGE_SIZE
    assert len(operator_client().get(f"{FAN_OUTS}?all=1").context["cl"].result_list) == PAGE_SIZE


@pytest.mark.parametrize(
    "query",
    ["error__contains=x", "author__username__contains=x", "deliveries__gt=1", "author__groups=1", "owner__email=x"],
)
def test_url_cannot_use_other_filters(query: str) -> None:
    for url in (FAN_OUTS, MEDIA):
        assert operator_client().get(f"{url}?{query}").status_code == 400


@pytest.mark.parametrize(
    "query", ["o=1", "o=-3.2", "o=x", "state=bogus", "status=bogus", "_facets=True", "p=99999", "e=1"]
)
def test_url_cannot_change_order_or_ask_for_facets(query: str) -> None:
    fill(60)
    for url in (FAN_OUTS, MEDIA):
        response = operator_client().get(f"{url}?{query}", follow=True)
        assert response.status_code in (200, 400)
        if response.status_code == 200 and "cl" in response.context:
            shown = [row.pk for row in response.context["cl"].result_list]
            assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("term", ["\0", "9" * 40, "-1", "%", "'", "a" * 5_000, "０", "1e3"])
def test_hostile_searches_find_nothing(term: str) -> None:
    fill(3)
    for url in (FAN_OUTS, MEDIA):
        response = operator_client().get(url, {"q": term})
        assert response.status_code == 200
        assert term == "\0" or list(response.context["cl"].result_list) == []


@pytest.mark.parametrize("pk", ["0", "x", "9" * 30, "-1", "1_2F3"])
def test_unknown_row_redirects_or_is_404(pk: str) -> None:
    for url in (FAN_OUTS, MEDIA):
        assert operator_client().get(f"{url}{pk}/change/").status_code in (302, 404)


def test_action_applies_to_selected_rows_only() -> None:
    fill(5)
    FanOut.objects.update(state=3)
    first, *rest = FanOut.objects.values_list("pk", flat=True)
    (message,) = run_bulk_action(operator_client(), FAN_OUTS, "resume", first, select_across="1")
    assert message.startswith("Dead letters requeued: 1;")
    (message,) = run_bulk_action(operator_client(), FAN_OUTS, "resume", *rest[:1], index="x")
    assert message.startswith("Dead letters requeued: 1;")
    for bad in ("x", "9" * 30, "", "\0"):
        response = operator_client().post(FAN_OUTS, {"action": "resume", "_selected_action": [bad]}, follow=True)
        assert response.status_code == 200
    assert FanOut.objects.filter(state=3).count() == 3


@pytest.mark.parametrize("page", ["add/", "{pk}/delete/"])
def test_rows_cannot_be_added_or_deleted(page: str) -> None:
    fill(1)
    for url, model in ((FAN_OUTS, FanOut), (MEDIA, Media)):
        address = url + page.format(pk=model.objects.get().pk)
        assert (
            superuser_client().get(address).status_code
            == superuser_client().post(address, {"post": "yes"}).status_code
            == 403
        )
        assert model.objects.count() == 1
    assert superuser_client().post(f"{FAN_OUTS}{FanOut.objects.get().pk}/change/", {"state": "2"}).status_code == 403


def test_only_superusers_see_groups() -> None:
    group = Group.objects.first()
    assert group is not None
    for client, status in ((operator_client(), 403), (moderator_client(), 403), (superuser_client(), 200)):
        for url in ("/admin/auth/group/", f"/admin/auth/group/{group.pk}/change/"):
            assert client.get(url).status_code == status
        assert ("/admin/auth/group/" in client.get("/admin/").content.decode()) is (status == 200)
