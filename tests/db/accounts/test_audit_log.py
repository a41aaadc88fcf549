"""The audit log in the admin: its list, filters and names, and its export."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.admin import audit_export
from accounts.audit import record
from accounts.models import AuditEntry, User
from instafeed.core.db.snowflake import first_id_at
from tests.support.factories import UserFactory
from tests.support.query_plans import plan_nodes
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


# --- The list ----------------------------------------------------------------------------------------


def test_audit_log_is_searchable_and_read_only(moderator: StaffMember, superuser: StaffMember) -> None:
    user = UserFactory()
    mine = record(moderator.user, "hide", "post", 4711, user_id=user.pk, reason="<b>spam</b>", after={"hidden": True})
    other = record(superuser.user, "lift", "user", user.pk, user_id=user.pk, before={"suspended": True})

    def found(**query: str) -> list[AuditEntry]:
        return moderator.rows("accounts_auditentry", **query)

    assert found() == [other, mine]
    assert found(action="hide") == found(q="mod") == found(q="4711") == found(actor_id=str(moderator.user.pk)) == [mine]
    assert found(q=str(user.pk)) == found(user_id=str(user.pk)) == [other, mine]
    assert found(q="unknown") == []
    html = moderator.page("accounts_auditentry_change", mine.pk).content.decode()
    assert "&lt;b&gt;spam&lt;/b&gt;" in html
    assert "hidden: – → yes" in html
    url = reverse("admin:accounts_auditentry_change", args=[mine.pk])
    assert superuser.client.post(url, {"reason": "none"}).status_code == 403
    for page in ("add", "delete"):
        superuser.page(f"accounts_auditentry_{page}", *([mine.pk] if page == "delete" else []), status=403)


def add_entry(actor: User, on: str, **fields: Any) -> AuditEntry:
    """Add an entry at noon of a day, UTC, with the id of that moment."""
    at = datetime.fromisoformat(f"{on}T12:00:00+00:00")
    values: dict[str, Any] = {"action": "hide", "target_type": "post", "target_id": 4711, **fields}
    names = {"actor_id": actor.pk, "actor_name": actor.username}
    return AuditEntry.objects.create(pk=first_id_at(at) + 1, created_at=at, **names, **values)


def test_audit_log_is_filtered_by_days(moderator: StaffMember) -> None:
    first, second, third = (add_entry(moderator.user, day) for day in ("2026-03-01", "2026-03-02", "2026-03-03"))

    def found(**query: str) -> list[AuditEntry]:
        return moderator.rows("accounts_auditentry", **query)

    assert found(**{"from": "2026-03-02"}) == [third, second]
    assert found(to="2026-03-02") == [second, first]
    assert found(**{"from": "2026-03-02", "to": "2026-03-02"}) == [second]
    assert found(**{"from": "2026-03-03", "to": "2026-03-01"}) == []
    assert found(**{"from": "2026-03-02", "action": "hide", "q": "mod"}) == [third, second]
    assert found(**{"from": "0001-01-01", "to": "9999-12-31"}) == [third, second, first]
    assert found(**{"from": "9999-12-31"}) == []


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "20260301", "2026-W10-1", "\0", "1" * 500])
def test_audit_log_of_a_mistaken_date_is_empty_and_says_so(moderator: StaffMember, day: str) -> None:
    add_entry(moderator.user, "2026-03-01")
    page = moderator.page("accounts_auditentry_changelist", to=day)
    assert list(page.context["cl"].result_list) == []
    assert "is not a date" in page.content.decode()
    assert export(moderator, to=day) == [list(audit_export.HEADER)]


def test_date_filter_keeps_search_and_other_filters(moderator: StaffMember) -> None:
    html = moderator.page("accounts_auditentry_changelist", q="mod", action="hide", p="1").content.decode()
    form = html[html.index('class="date-range"') :].partition("</form>")[0]
    assert '<input type="hidden" name="q" value="mod">' in form
    assert '<input type="hidden" name="action" value="hide">' in form
    assert 'name="p"' not in form


@pytest.mark.usefixtures("fresh_tables")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "accounts_auditentry_pkey"),
        ({"action": "warn"}, "audit_action"),
        ({"actor_id": "3"}, "audit_actor"),
        ({"policy_id": "3"}, "audit_policy"),
    ],
)
def test_indexes_answer_the_date_filter(moderator: StaffMember, query: dict[str, str], index: str) -> None:
    """With 20,000 entries of as many hours: the list and the batches of the export read those of ten days only."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_auditentry (id, actor_id, actor_name, action, target_type, target_id, reason, before,
                                             after, policy_id)
            SELECT (n * 3600000::bigint) << 22, n % 50, 'mod', CASE WHEN n % 20 = 0 THEN 'warn' ELSE 'hide' END, 'post',
                   n, '', '{}', '{}', n % 50
            FROM generate_series(1, 20000) AS n
            """
        )
        cursor.execute("ANALYZE accounts_auditentry")
    filters = {"from": "2025-03-01", "to": "2025-03-10", **query}
    with CaptureQueriesContext(connection) as queries:
        moderator.rows("accounts_auditentry", **filters)
        export(moderator, **filters)
    reads = [query["sql"] for query in queries if 'FROM "accounts_auditentry"' in query["sql"]]
    assert len(reads) >= 4
    for sql in reads:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            plan = cursor.fetchone()[0][0]["Plan"]
        nodes = list(plan_nodes(plan))
        scanned = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
        assert "accounts_auditentry" not in scanned, plan  # other tables have a few rows here
        assert index in [node.get("Index Name") for node in nodes], plan


def test_audit_log_names_targets_and_shows_plain_times(moderator: StaffMember, superuser: StaffMember) -> None:
    author, group = UserFactory(username="alice"), Group.objects.get(name="Moderator")
    until = {"until": "2026-12-24T18:30:15.123456+00:00", "note": "Tea"}
    entries = [
        record(moderator.user, "hide", "post", 4711, user_id=author.pk),
        record(superuser.user, "suspend", "user", author.pk, user_id=author.pk, after=until),
        record(superuser.user, "change_group", "group", group.pk, user_id=None),
        record(superuser.user, "block_domain", "email_domain", 3, user_id=None, after={"domain": "spam.example"}),
        record(superuser.user, "warn", "comment", 4712, user_id=2**40),
    ]
    html = moderator.page("accounts_auditentry_changelist").content.decode()
    for kind, target, name in (
        ("posts/post", 4711, "post by @alice"),
        ("accounts/user", author.pk, "@alice"),
        ("auth/group", group.pk, "group Moderator"),
        ("accounts/blockedemaildomain", 3, "email domain spam.example"),
        ("posts/comment", 4712, "comment 4712"),
        ("accounts/user", 2**40, f"user {2**40}"),
    ):
        assert f'<a href="/admin/{kind}/{target}/change/">{name}</a>' in html
    assert "note: – → Tea, until: – → 2026-12-24 18:30" in html
    detail = moderator.page("accounts_auditentry_change", entries[0].pk).content.decode()
    assert ">post by @alice</a>" in detail


# --- The export --------------------------------------------------------------------------------------


def export(staff: StaffMember, **query: str) -> list[list[str]]:
    """Return the rows of the file."""
    url = f"{reverse('admin:accounts_auditentry_export')}?{urlencode(query)}"
    response: Any = staff.client.post(url)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="audit-log-[\d-]+\.csv"', response["Content-Disposition"])
    content = b"".join(response.streaming_content).decode()
    return list(csv.reader(io.StringIO(content, newline="")))


def test_export_has_what_the_list_finds(moderator: StaffMember, superuser: StaffMember) -> None:
    mine = add_entry(moderator.user, "2026-03-01", user_id=5, reason="Größe, “Ü” 🐦", after={"bis": "März"})
    add_entry(superuser.user, "2026-03-02")
    add_entry(moderator.user, "2026-03-03")
    header, *rows = export(moderator, q="mod", to="2026-03-02", action="hide")
    assert header == list(audit_export.HEADER)
    assert [dict(zip(header, row, strict=True)) for row in rows] == [
        {
            "time (UTC)": "2026-03-01 12:00:00",
            "id": str(mine.pk),
            "action": "hide",
            "actor id": str(moderator.user.pk),
            "actor": "mod",
            "target type": "post",
            "target id": "4711",
            "affected user id": "5",
            "policy": "",
            "reason": "Größe, “Ü” 🐦",
            "before": "",
            "after": '{"bis": "März"}',
        }
    ]
    assert export(moderator, q="unknown")[1:] == []


def test_export_is_audited_with_ids_in_place_of_texts(moderator: StaffMember) -> None:
    mod = moderator.user.pk
    for query, after in (
        ({}, {}),
        (
            {"from": "2026-03-01", "q": "MOD ", "action": "hide"},
            {"from": "2026-03-01", "actor_id": mod, "action": "hide"},
        ),
        ({"q": "someone"}, {"actor_id": None}),
        ({"q": "4711", "user_id": "5"}, {"id": 4711, "user_id": 5}),
        ({"from": "secret text", "action": "secret text"}, {}),
    ):
        export(moderator, **query)
        entry = AuditEntry.objects.latest("pk")
        assert (entry.action, entry.target_type, entry.actor_id, entry.after) == ("export", "audit_log", mod, after)
    assert "audit log" in moderator.page("accounts_auditentry_changelist").content.decode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_export_has_no_formulas(moderator: StaffMember, start: str) -> None:
    reason = f'{start}HYPERLINK("https://evil.example")'
    add_entry(moderator.user, "2026-03-01", reason=reason, policy_name=reason)
    row = dict(zip(*export(moderator, action="hide"), strict=True))
    assert row["reason"] == row["policy"] == f"'{reason}"


def test_export_reads_batches_until_its_limit_and_says_so(
    moderator: StaffMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "BATCH_SIZE", 3)
    monkeypatch.setattr(audit_export, "MAX_EXPORTED_ENTRIES", 6)
    entries = [add_entry(moderator.user, f"2026-03-{day:02}") for day in range(1, 7)]
    rows = export(moderator, action="hide")[1:]
    assert [row[1] for row in rows] == [str(entry.pk) for entry in reversed(entries)]
    older = add_entry(moderator.user, "2026-02-28")
    *rows, (note,) = export(moderator, action="hide")[1:]
    assert len(rows) == 6
    assert note == "Older entries are missing: a file has at most 6. Export them with “to” 2026-03-01."
    assert export(moderator, to="2026-02-28")[1][1] == str(older.pk)


def test_export_needs_a_post_and_permission(moderator: StaffMember) -> None:
    url = reverse("admin:accounts_auditentry_export")
    assert moderator.client.get(url).status_code == 302
    newcomer = StaffMember()
    assert newcomer.client.post(url).status_code == newcomer.client.get(url).status_code == 403
    assert moderator.client.post(f"{url}?actor_name__contains=x").status_code == 400
    assert AuditEntry.objects.count() == 0


@pytest.mark.parametrize("query", ["user_id=abc", "user_id=%00", "q=%00", "policy_id=99999999999999999999"])
def test_export_with_filters_that_are_not_valid_is_no_server_error(query: str) -> None:
    response: Any = StaffMember("Moderator").client.post(f"{reverse('admin:accounts_auditentry_export')}?{query}")
    assert response.status_code in (200, 302)
