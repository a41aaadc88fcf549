"""What the pages of cases and users show a moderator: texts, discussion, records, notes, reports."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Reason
from posts import services
from posts.models import Case, CaseState, Comment, Note, Report, TargetType
from posts.moderation import case_detail
from posts.services import Target
from tests.db.posts.moderation_cases import account_target, create_comment_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.pictures import ready_media
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def show_case(staff: StaffMember, case: Case) -> str:
    """Return the text of a case's page, without tags and with single spaces."""
    html = staff.page("posts_case_change", case.pk).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", html).split()).replace(" ,", ",")


def test_reasons_are_counted_the_most_frequent_first(moderator: StaffMember, author: ApiUser) -> None:
    target = create_post_target(author)
    file_reports(target, reason=Reason.SPAM)
    case = file_reports(target, 3, reason=Reason.NUDITY)
    assert "4 reports: 3 nudity · 1 spam" in show_case(moderator, case)
    assert "3 nudity · 1 spam" in moderator.page("posts_case_changelist").content.decode()


@pytest.mark.parametrize("reason", [Reason.NUDITY, Reason.SELF_HARM, Reason.CHILD_SAFETY, Reason.SPAM])
def test_pictures_are_blurred_by_reason(reason: Reason, moderator: StaffMember, author: ApiUser) -> None:
    post = services.create_post(author.id, "", [ready_media(author.user).pk])
    case = file_reports(Target(TargetType.POST, post.pk, author.id), reason=reason)
    pages = [
        moderator.page("posts_case_change", case.pk),
        moderator.page("posts_post_change", post.pk),
        moderator.page("posts_case_changelist"),
        moderator.page("posts_post_changelist"),
    ]
    for page in pages:
        assert bool(re.search(r'class="(strip|frame) sensitive"', page.content.decode())) == (reason != Reason.SPAM)


def test_comment_is_shown_in_its_discussion(moderator: StaffMember, author: ApiUser, reader: ApiUser) -> None:
    picture = ready_media(author.user)
    post = services.create_post(author.id, "the caption", [picture.pk])
    on_post = Target(TargetType.POST, post.pk, author.id)
    first = create_comment_target(author, on_post, "comment 0")
    for number in range(1, 4):
        create_comment_target(author, on_post, f"comment {number}")
    reported = services.create_comment(reader.id, post.pk, author.id, "comment 4", Comment.objects.get(pk=first.id))
    for number in range(5, 9):
        create_comment_target(author, on_post, f"comment {number}")
    case = file_reports(Target(TargetType.COMMENT, reported.pk, reader.id))
    detail = moderator.page("posts_case_change", case.pk).context["detail"]
    assert [comment.text for comment in detail.thread] == [f"comment {number}" for number in range(2, 7)]
    assert detail.parent.text == "comment 0"
    shown = show_case(moderator, case)
    assert f"On a post by @{author.username} the caption" in shown
    assert f"replies to @{author.username}" in shown


def test_thumbnail_of_a_comments_post_is_blurred_by_the_reports_of_the_post(
    moderator: StaffMember, author: ApiUser, reader: ApiUser
) -> None:
    post = services.create_post(author.id, "", [ready_media(author.user).pk])
    on_post = Target(TargetType.POST, post.pk, author.id)
    case = file_reports(create_comment_target(reader, on_post))
    for is_blurred in (False, True):
        html = moderator.page("posts_case_change", case.pk).content.decode()
        assert ('class="frame sensitive"' in html) == is_blurred
        file_reports(on_post, reason=Reason.NUDITY)


def test_texts_are_compared_word_by_word(moderator: StaffMember, author: ApiUser) -> None:
    target = create_post_target(author, "buy my <b>cheap watches</b> now")
    case = file_reports(target)
    services.edit_post(target.id, "buy my fresh bread now")
    html = moderator.page("posts_case_change", case.pk).content.decode()
    assert "buy my <del>&lt;b&gt;cheap watches&lt;/b&gt;</del> now" in html
    assert "buy my <ins>fresh bread</ins> now" in html


def test_authors_record_and_history(moderator: StaffMember, author: ApiUser) -> None:
    case = file_reports(create_post_target(author, "the case"))
    assert "Nothing before" in show_case(moderator, case)
    for number in range(2):
        post = create_post_target(author, f"gone {number}")
        moderator.post_action("posts_post", "hide", post.id, reason="spam")
    moderator.post_action("posts_post", "warn", post.id, reason="Careful.")
    moderator.post_action("accounts_user", "end_sessions", author.id, reason="stolen")
    shown = show_case(moderator, case)
    assert "Before: 1 warning 2 hidden" in shown
    assert f"end sessions @{author.username}" in shown
    assert "hide post “gone 1”" in shown
    html = moderator.page("posts_case_change", case.pk).content.decode()
    assert reverse("admin:posts_post_change", args=[post.id]) in html


def test_reporters_records(moderator: StaffMember, author: ApiUser, reader: ApiUser) -> None:
    targets = [create_post_target(author) for _ in range(5)]
    for target in targets:
        services.file_report(reader.id, target, Reason.SPAM, "")
    Case.objects.exclude(target_id=targets[0].id).update(state=CaseState.DISMISSED, closed_at=timezone.now())
    case = Case.objects.get(target_id=targets[0].id)
    assert f"@{reader.username} 5 filed, 4 dismissed" in show_case(moderator, case)


def test_record_of_a_busy_reporter_counts_the_newest_reports(
    moderator: StaffMember, author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = file_reports(create_post_target(author))
    Report.objects.bulk_create(
        Report(reporter_id=reader.id, target_type="post", target_id=number, reason=Reason.SPAM)
        for number in range(1, 2_000)
    )
    services.file_report(reader.id, Target(TargetType.POST, case.target_id, author.id), Reason.SPAM, "")
    assert f"@{reader.username} 50+ filed, 0 dismissed" in show_case(moderator, case)
    with CaptureQueriesContext(connection) as queries:
        list(case_detail.with_reporter_records(Report.objects.filter(target_id=case.target_id)))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; ANALYZE posts_report")
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {queries[-1]['sql']}")
        plan = "\n".join(row for (row,) in cursor.fetchall())
    assert "report_reporter" in plan
    assert "actual rows=19" not in plan, "reads no more than it counts"


def test_notes_about_the_target_and_the_author(moderator: StaffMember, author: ApiUser) -> None:
    target, other = create_post_target(author), create_post_target(author)
    case = file_reports(target)
    for about, text in ((target, "His shop."), (account_target(author), "Came back."), (other, "Same watches.")):
        Note.objects.create(
            target_type=about.type,
            target_id=about.id,
            user_id=author.id,
            author_id=moderator.user.pk,
            author_name="mod",
            text=text,
        )
    shown = show_case(moderator, case)
    for expected in (
        "His shop. @mod, just now, about this post",
        "Came back. @mod, just now, about the author",
        "Same watches. @mod, just now, about a post of the author",
    ):
        assert expected in shown


def test_users_page_lists_reports_made_and_got(moderator: StaffMember, author: ApiUser, reader: ApiUser) -> None:
    targets = [create_post_target(author, f"offer {number}") for number in range(12)]
    for target in targets:
        services.file_report(reader.id, target, Reason.SPAM, "he sells")
    html = moderator.page("accounts_user_change", reader.id).content.decode()
    assert html.count("spam: he sells") == 10
    assert "offer 11" in html
    assert reverse("admin:posts_case_change", args=[Case.objects.get(target_id=targets[11].id).pk]) in html
    html = moderator.page("accounts_user_change", author.id).content.decode()
    assert html.count("1 spam") == 10
    assert "he sells" not in StaffMember("Operator").page("accounts_user_change", reader.id).content.decode()


def test_age_of_a_case(moderator: StaffMember, author: ApiUser) -> None:
    case = file_reports(create_post_target(author))
    Case.objects.filter(pk=case.pk).update(opened_at=timezone.now() - timedelta(hours=3))
    assert ">3 h</time>" in moderator.page("posts_case_changelist").content.decode()


def test_closed_case_says_by_whom_and_when(moderator: StaffMember, author: ApiUser) -> None:
    case = file_reports(create_post_target(author))
    moderator.post_action("posts_case", "hide", case.pk, reason="spam")
    assert re.search(r"Acted on 20\d\d-\d\d-\d\d \d\d:\d\d UTC by mod\.", show_case(moderator, case))


def test_texts_of_users_are_escaped_everywhere(moderator: StaffMember, author: ApiUser, reader: ApiUser) -> None:
    evil: dict[str, Any] = {"reason": Reason.SPAM, "note": "<i>note</i>"}
    target = create_post_target(author, "<i>caption</i>")
    file_reports(create_comment_target(reader, target, "<i>comment</i>"), **evil)
    file_reports(target, **evil)
    moderator.post_action("posts_post", "hide", target.id, reason="<i>reason</i>")
    for page in (
        *(moderator.page("posts_case_change", case.pk) for case in Case.objects.all()),
        moderator.page("accounts_user_change", author.id),
        moderator.page("posts_case_changelist", q=author.username),
    ):
        assert "<i>" not in page.content.decode()
