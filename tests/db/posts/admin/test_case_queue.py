"""The moderators' queue and the page of a case."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Reason
from posts import services
from posts.models import Case, CaseState, TargetType
from posts.services import Target
from tests.db.posts.moderation_cases import account_target, create_comment_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.pictures import ready_media
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def test_queue_lists_open_cases_by_severity_and_waiting_time(moderator: StaffMember, author: ApiUser) -> None:
    often, late, severe, closed = (
        file_reports(create_post_target(author), times, reason)
        for times, reason in ((3, Reason.SPAM), (1, Reason.SPAM), (1, Reason.CHILD_SAFETY), (2, Reason.SPAM))
    )
    Case.objects.filter(pk=often.pk).update(opened_at=timezone.now() - timedelta(hours=1))
    Case.objects.filter(pk=closed.pk).update(state=CaseState.DISMISSED, closed_at=timezone.now())
    assert moderator.rows("posts_case") == [severe, often, late]
    assert moderator.rows("posts_case", state=CaseState.DISMISSED) == [closed]
    assert moderator.rows("posts_case", state=CaseState.ACTED) == []
    Case.objects.filter(pk=closed.pk).update(closed_at=timezone.now() - timedelta(days=91))
    assert moderator.rows("posts_case", state=CaseState.DISMISSED) == []
    assert moderator.rows("posts_case", q=author.username) == [closed, severe, late, often]
    assert moderator.rows("posts_case", user_id=author.id) == [closed, severe, late, often]


def test_filter_and_search_cases(moderator: StaffMember, author: ApiUser, reader: ApiUser) -> None:
    post = create_post_target(author)
    cases = [
        file_reports(post),
        file_reports(create_comment_target(reader, post), reason=Reason.NUDITY),
        file_reports(account_target(author)),
    ]
    assert moderator.rows("posts_case", type="comment") == cases[1:2]
    assert moderator.rows("posts_case", reason="nudity") == cases[1:2]
    assert moderator.rows("posts_case", reason="spam", type="user") == cases[2:]
    assert moderator.rows("posts_case", q=f"@{reader.username.upper()}") == cases[1:2]
    assert moderator.rows("posts_case", q=str(post.id)) == cases[:1]
    for nothing in ("nobody", "9" * 30, "0", "%"):
        assert moderator.rows("posts_case", q=nothing) == []


@pytest.mark.parametrize(
    "query", ["state=x", "state=9", "type=x", "reason=x", "o=3.-1", "p=x", "p=-1", "all=", "q=%00"]
)
def test_invalid_query_parameters_are_no_error(query: str, moderator: StaffMember, author: ApiUser) -> None:
    file_reports(create_post_target(author))
    assert moderator.client.get(f"{reverse('admin:posts_case_changelist')}?{query}").status_code in (200, 302)


@pytest.mark.parametrize("query", ["report_count__gt=0", "user_id=x", "target_id__contains=1"])
def test_other_lookups_are_refused(query: str, moderator: StaffMember) -> None:
    assert moderator.client.get(f"{reverse('admin:posts_case_changelist')}?{query}").status_code in (302, 400)


@pytest.mark.parametrize("model", ["posts_case", "posts_post", "posts_comment", "accounts_auditentry"])
@pytest.mark.parametrize("id_", ["0", "x", "-1", "9" * 19, "9" * 40, "a/b", "%00"])
def test_unknown_id_redirects(model: str, id_: str, moderator: StaffMember) -> None:
    url = reverse(f"admin:{model}_change", args=["ID"]).replace("ID", id_)
    assert moderator.client.get(url).status_code in (301, 302, 404)


# --- The page of a case ------------------------------------------------------------------------------


def test_case_page_shows_content_reports_and_history(moderator: StaffMember, author: ApiUser) -> None:
    pictures = [ready_media(author.user, alt_text="a face") for _ in range(2)]
    post = services.create_post(author.id, "come <b>and</b> buy", [picture.pk for picture in pictures])
    target = Target(TargetType.POST, post.pk, author.id)
    other = file_reports(account_target(author))
    case = file_reports(target, 2, note="he sells watches")
    moderator.post_action("posts_post", "warn", post.pk, reason="No selling, please.")
    file_reports(target)
    page = moderator.page("posts_case_change", case.pk)
    html = page.content.decode()
    for shown in ("come &lt;b&gt;and&lt;/b&gt; buy", "he sells watches", "a face", f"@{author.username}", "3 reports"):
        assert shown in html, shown
    assert [picture.url in html.replace("&amp;", "&") for picture in page.context["snapshot"].pictures] == [True, True]
    assert "No selling, please." in html
    assert reverse("admin:posts_case_change", args=[other.pk]) in html
    assert "style=" not in html
    assert [bound.action.name for bound in page.context["bound_actions"]] == [
        *("dismiss", "hide", "hide_and_warn", "delete", "warn", "suspend", "escalate", "note")
    ]


def test_case_page_shows_the_text_as_it_was_reported(moderator: StaffMember, author: ApiUser) -> None:
    target = create_post_target(author, "buy <b>watches</b>")
    case = file_reports(target)
    assert moderator.page("posts_case_change", case.pk).context["detail"].earlier_texts == []
    services.edit_post(target.id, "good morning")
    html = moderator.page("posts_case_change", case.pk).content.decode()
    assert "<del>buy &lt;b&gt;watches&lt;/b&gt;</del>" in html
    assert "<ins>good morning</ins>" in html


def test_hidden_post_has_signed_urls_and_a_restore_action(moderator: StaffMember, author: ApiUser) -> None:
    picture = ready_media(author.user, is_public=False)
    post = services.create_post(author.id, "", [picture.pk])
    case = file_reports(Target(TargetType.POST, post.pk, author.id))
    services.hide_post(post.pk)
    page = moderator.page("posts_case_change", case.pk)
    assert "signature=" in page.context["snapshot"].pictures[0].url
    assert "restore" in [bound.action.name for bound in page.context["bound_actions"]]


def test_deleted_post_can_only_be_dismissed(moderator: StaffMember, author: ApiUser) -> None:
    target = create_post_target(author)
    case = file_reports(target)
    services.delete_post(target.id, author.id)
    page = moderator.page("posts_case_change", case.pk)
    assert "The post was deleted." in page.content.decode()
    assert [bound.action.name for bound in page.context["bound_actions"]] == ["dismiss", "escalate", "note"]
    assert "deleted" in moderator.run_action("posts_case", "hide", case.pk, reason="spam")[0]
    assert moderator.run_action("posts_case", "dismiss", case.pk, **{f"version-{case.pk}": 1}) == ["dismissed."]


def test_case_page_shows_the_newest_hundred_reports(moderator: StaffMember, author: ApiUser) -> None:
    case = file_reports(create_post_target(author), 103)
    page = moderator.page("posts_case_change", case.pk)
    assert len(page.context["detail"].reports) == 100
    assert "103 reports, the newest 100: " in page.content.decode()
