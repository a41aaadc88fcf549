"""Queries and rows read by the moderators' pages, with few and with many rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEntry
from posts import services
from posts.models import Case, Comment, Post, TargetType
from posts.services import Target
from tests.db.posts.moderation_cases import account_target, create_comment_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.pictures import ready_media
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db

MAX_QUERIES = 15


def create_reported_content(author: ApiUser, size: int) -> None:
    for number in range(size):
        who = ApiUser() if number else author
        picture = ready_media(who.user)
        post = services.create_post(who.id, "x", [picture.pk])
        target = Target(TargetType.POST, post.pk, who.id)
        file_reports(target, 1 + size // 4)
        file_reports(create_comment_target(who, target))
        file_reports(account_target(who))


def list_page_urls(author: ApiUser) -> dict[str, tuple[str, dict[str, str]]]:
    post = Post.objects.filter(author=author.id).order_by("pk")[0]
    comment = Comment.objects.filter(author=author.id).order_by("pk")[0]
    found: dict[str, tuple[str, dict[str, str]]] = {
        f"list of {model}": (reverse(f"admin:posts_{model}_changelist"), {}) for model in ("case", "post", "comment")
    }
    found["search"] = (reverse("admin:posts_case_changelist"), {"q": author.username})
    found["filter"] = (reverse("admin:posts_case_changelist"), {"state": "0", "type": "post", "reason": "spam"})
    for kind, pk in (("post", post.pk), ("comment", comment.pk), ("user", author.id)):
        case = Case.objects.get(target_type=kind, target_id=pk)
        found[f"case of {kind}"] = (reverse("admin:posts_case_change", args=[case.pk]), {})
    found["post"] = (reverse("admin:posts_post_change", args=[post.pk]), {})
    found["comment"] = (reverse("admin:posts_comment_change", args=[comment.pk]), {})
    return found


def test_query_counts_do_not_depend_on_rows(moderator: StaffMember, author: ApiUser) -> None:
    def costs() -> dict[str, int]:
        found = {}
        for name, (url, query) in list_page_urls(author).items():
            with CaptureQueriesContext(connection) as queries:
                assert moderator.client.get(url, query).status_code == 200
            found[name] = len(queries)
        return found

    create_reported_content(author, 1)
    few = costs()
    assert max(few.values()) <= MAX_QUERIES, few
    create_reported_content(author, 8)
    assert costs() == few


# --- With many rows ----------------------------------------------------------------------------------

ROW_COUNT = 20_000
_FILL_SQL = """
INSERT INTO accounts_user (username, email, password, display_name, bio, website, avatar_path, is_private, is_active,
                           is_staff, is_superuser)
SELECT 'person' || n, '', '', '', '', '', '', false, true, false, false FROM generate_series(1, 2000) AS n;
INSERT INTO posts_post (author_id, caption) SELECT id, 'x' FROM accounts_user, generate_series(1, 10)
    WHERE username LIKE 'person%%';
INSERT INTO posts_comment (post_id, author_id, text) SELECT id, author_id, 'y' FROM posts_post;
UPDATE posts_post SET hidden_at = now() WHERE id %% 100 = 0;
INSERT INTO posts_case (target_type, target_id, user_id, report_count, reason_counts, first_reported_at,
                        last_reported_at, state, closed_at)
SELECT 'post', id, author_id, 1 + id %% 7,
       jsonb_build_object(CASE WHEN id %% 3 = 0 THEN 'spam' ELSE 'nudity' END, 1), now(), now(),
       CASE WHEN id %% 10 = 0 THEN 0 ELSE 1 + id %% 2 END, CASE WHEN id %% 10 = 0 THEN NULL ELSE now() END
FROM posts_post;
INSERT INTO accounts_auditentry (actor_id, actor_name, action, target_type, target_id, user_id, reason, before, after)
SELECT 1 + author_id %% 20, 'mod', CASE WHEN id %% 9 = 0 THEN 'warn' ELSE 'hide' END, 'post', id, author_id, '',
       '{}', '{}' FROM posts_post;
ANALYZE accounts_user, accounts_auditentry, posts_post, posts_comment, posts_case
"""
LISTS: list[tuple[str, dict[str, Any], int]] = [  # and the maximum of rows read for a page, and for the number of pages
    ("posts_case", {}, 2_100),
    ("posts_case", {"reason": "spam"}, 4_000),  # at most the open cases
    ("posts_case", {"state": "1"}, 5_100),  # half of the closed cases
    ("posts_case", {"state": "2", "reason": "spam", "type": "post"}, 14_000),
    ("posts_case", {"q": "person77"}, 100),
    ("posts_post", {}, 2_100),
    ("posts_post", {"hidden": "1"}, 2_100),
    ("posts_post", {"q": "person77"}, 100),
    ("posts_comment", {}, 2_100),
    ("posts_comment", {"hidden": "1"}, 100),
    ("posts_comment", {"q": "person77"}, 100),
    ("accounts_user", {}, 2_100),
    ("accounts_user", {"q": "person77"}, 100),
    ("accounts_user", {"q": "a@example.org"}, 100),
    ("accounts_user", {"staff": "1"}, 100),
    ("accounts_user", {"suspended": "1"}, 100),
    ("accounts_user", {"celebrity": "1"}, 100),
    ("accounts_user", {"pinned": "1"}, 100),
    ("accounts_auditentry", {}, 2_100),
    ("accounts_auditentry", {"action": "warn"}, 2_300),
    ("accounts_auditentry", {"action": "lift"}, 100),
    ("accounts_auditentry", {"q": "person7"}, 2_100),
]


def count_rows_read(plan: dict[str, Any]) -> int:
    """Return the rows read by all plan nodes that read a table or only an index."""
    reads = "Scan" in plan["Node Type"] and plan["Node Type"] != "Bitmap Index Scan"
    own = plan.get("Actual Rows", 0) + plan.get("Rows Removed by Filter", 0) if reads else 0
    loops = plan.get("Actual Loops", 1)
    return int(own * loops) + sum(count_rows_read(child) for child in plan.get("Plans", []))


@pytest.mark.usefixtures("fresh_tables")
def test_lists_read_a_bounded_number_of_rows(moderator: StaffMember) -> None:
    with connection.cursor() as cursor:
        for statement in _FILL_SQL.replace("%%", "%").split(";\n"):
            cursor.execute(statement)
    assert Post.objects.count() == Case.objects.count() == AuditEntry.objects.count() == ROW_COUNT
    too_much = {}
    for model, query, bound in LISTS:
        changelist = moderator.page(f"{model}_changelist", **query).context["cl"]
        page, number = changelist.queryset[:50], changelist.queryset.order_by().values("pk")[:2_000]
        for rows in (page, number):
            (plan,) = json.loads(rows.explain(format="json", analyze=True))
            if (read := count_rows_read(plan["Plan"])) > bound:
                too_much[model, str(query), rows is page] = (read, plan)
    assert not too_much, {name: read for name, (read, _) in too_much.items()}
