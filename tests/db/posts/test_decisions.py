"""Decisions of moderators: the policy, messages to author and reporters, second opinions and notes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry, Policy, Reason, User
from accounts.moderation import ActionRefused
from posts import moderation, services
from posts.models import Case, CaseState, Note, Post, Report, TargetType
from posts.moderation import Recipients, messages
from posts.personal_data import erase_notes
from posts.services import Target
from social.models import ModeratorMessage, Notification, NotificationEvent
from social.notifications import delete_older
from social.notifications.consumer import consume_batches
from tests.db.posts.moderation_cases import account_target, create_comment_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory
from tests.support.mails import send_due_mails
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db

EVERYONE = Recipients(author=True, reporters=True)


@pytest.fixture
def moderator() -> User:
    return create_staff("Moderator", username="mod")


@pytest.fixture
def senior() -> User:
    return create_staff("Senior moderator", username="senior")


@pytest.fixture
def post(author: ApiUser) -> Target:
    return create_post_target(author)


@pytest.fixture
def spam() -> Policy:
    return Policy.objects.get(reason=Reason.SPAM)


def decisions_of(user: ApiUser) -> list[str]:
    """Return the texts of the user's notifications about decisions, newest first."""
    while consume_batches():
        pass
    rows = user.get("/notifications?kind=decision")["results"]
    assert all(row["actors"][0]["id"] == str(user.id) for row in rows), "moderators and reporters are not named"
    return [row["text"] for row in rows]


# --- Policies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["hide", "delete", "warn", "suspend", "hide_and_warn"])
def test_a_policy_is_reason_enough_and_is_in_the_audit_log(
    action: str, moderator: User, post: Target, spam: Policy
) -> None:
    calls: dict[str, Callable[[], bool]] = {
        "hide": lambda: moderation.hide(moderator, post, "", policy=spam),
        "delete": lambda: moderation.delete(moderator, post, "", policy=spam),
        "warn": lambda: moderation.warn(moderator, post, "", policy=spam, expected_version=0),
        "suspend": lambda: moderation.suspend_author(moderator, post, None, "", policy=spam),
        "hide_and_warn": lambda: moderation.hide_and_warn(moderator, post, "", policy=spam, expected_version=0),
    }
    assert calls[action]()
    name, spam.name = spam.name, "Renamed"
    spam.save()
    entries = AuditEntry.objects.order_by("pk")
    assert [entry.action for entry in entries] == (["warn", "hide"] if action == "hide_and_warn" else [action])
    assert {(entry.policy_id, entry.policy_name) for entry in entries} == {(spam.pk, name)}


def test_a_warning_has_the_text_of_the_policy_and_of_the_moderator(
    moderator: User, author: ApiUser, post: Target, spam: Policy
) -> None:
    assert moderation.warn(moderator, post, "No watches.", policy=spam, expected_version=0)
    assert ModeratorMessage.objects.get().text == f"{spam.text}\n\nNo watches."
    assert AuditEntry.objects.get().reason == f"{spam.text}\n\nNo watches."


def test_hide_and_warn_is_one_transaction(
    moderator: User, post: Target, spam: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_reports(post)

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(messages, "tell_hidden", fail)
    with pytest.raises(RuntimeError):
        moderation.hide_and_warn(moderator, post, "", policy=spam, expected_version=0)
    assert Case.objects.get().state == CaseState.OPEN
    assert not AuditEntry.objects.exists()
    assert not ModeratorMessage.objects.exists()
    monkeypatch.undo()
    assert moderation.hide_and_warn(moderator, post, "", policy=spam, expected_version=0)
    assert Post.objects.get().hidden_at is not None
    assert not moderation.hide_and_warn(moderator, post, "", policy=spam, expected_version=0), "a colleague was faster"
    assert ModeratorMessage.objects.count() == 1


def test_hide_and_warn_is_refused_for_what_a_colleague_has_hidden(moderator: User, senior: User, post: Target) -> None:
    assert moderation.hide(senior, post, "spam")
    with pytest.raises(ActionRefused, match="hidden or deleted already"):
        moderation.hide_and_warn(moderator, post, "Careful.", expected_version=0)
    assert not ModeratorMessage.objects.exists()
    assert AuditEntry.objects.get().actor_id == senior.pk


# --- Messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["post", "comment", "user"])
@pytest.mark.parametrize("action", ["hide", "suspend", "dismiss"])
def test_author_and_reporters_learn_of_a_decision(
    action: str, kind: str, moderator: User, author: ApiUser, reader: ApiUser, post: Target, spam: Policy
) -> None:
    target = {"post": post, "comment": create_comment_target(author, post), "user": account_target(author)}[kind]
    if (action, kind) == ("hide", "user"):
        return  # an account cannot be hidden
    services.file_report(reader.id, target, Reason.SPAM, "look")
    bystander = ApiUser()
    calls: dict[str, Callable[[Recipients], bool]] = {
        "hide": lambda who: moderation.hide(moderator, target, "a secret note", policy=spam, recipients=who),
        "suspend": lambda who: moderation.suspend_author(
            moderator, target, timezone.now() + timedelta(days=3), "a secret note", policy=spam, recipients=who
        ),
        "dismiss": lambda who: moderation.dismiss(
            moderator, target, expected_version=1, reason="a secret note", recipients=who
        ),
    }
    assert calls[action](EVERYONE)
    if action == "suspend":
        assert "secret" not in ModeratorMessage.objects.get(recipient_id=author.id).text
        while consume_batches():
            pass
        moderation.lift_suspension(moderator, target)
    (to_author,), (to_reader,) = decisions_of(author), decisions_of(reader)
    assert decisions_of(bystander) == []
    what = "account" if kind == "user" else kind
    expected = {"hide": "Moderators hid", "suspend": "suspended", "dismiss": "nothing against the rules"}[action]
    for text in (to_author, to_reader):
        assert expected in text
        assert (spam.text in text) == (action != "dismiss")
        assert "secret" not in text
        assert author.username not in text
    assert what in to_reader
    (message,) = ModeratorMessage.objects.filter(recipient_id=reader.id)
    assert (message.post_id, message.comment_id) == {
        "post": (post.id, None),
        "comment": (post.id, target.id),
        "user": (None, None),
    }[kind]


@pytest.mark.parametrize("kind", ["post", "comment"])
@pytest.mark.parametrize("action", ["hide", "hide_and_warn"])
def test_author_gets_one_notification_of_hidden_content_with_the_policys_text(
    action: str, kind: str, moderator: User, author: ApiUser, post: Target, spam: Policy
) -> None:
    target = post if kind == "post" else create_comment_target(author, post)
    if action == "hide":
        assert moderation.hide(moderator, target, "", policy=spam, recipients=EVERYONE)
    else:
        assert moderation.hide_and_warn(
            moderator, target, "", policy=spam, expected_version=0, recipients=Recipients(reporters=True)
        )
    while consume_batches():
        pass
    (entry,) = author.get("/notifications")["results"]
    assert entry["kind"] == ("decision" if action == "hide" else "warning")
    text = "hello" if kind == "post" else "nice"
    assert entry["text"] == f"Moderators hid your {kind}: “{text}”\n\n{spam.text}"
    assert (entry["post_id"], entry["comment_id"]) == (str(post.id), None if kind == "post" else str(target.id))
    assert author.get("/notifications/unread-count") == {"count": 1}
    assert "hello" not in AuditEntry.objects.latest("pk").reason
    assert author.call("delete", f"/{kind}s/{target.id}").status_code == 204


def test_the_quote_of_hidden_content_is_short(moderator: User, author: ApiUser) -> None:
    assert moderation.hide(moderator, create_post_target(author, "long " * 100), "spam", recipients=EVERYONE)
    (text,) = decisions_of(author)
    assert text.startswith("Moderators hid your post: “long long")
    assert len(text) < 2 * messages.MAX_QUOTE_LENGTH


def test_reporters_get_no_quote_of_hidden_content(moderator: User, reader: ApiUser, post: Target) -> None:
    services.file_report(reader.id, post, Reason.SPAM, "")
    assert moderation.hide(moderator, post, "spam", recipients=EVERYONE)
    assert decisions_of(reader) == ["You reported a post. Moderators hid it."]


def test_no_one_learns_of_a_decision_unless_asked_for(
    moderator: User, author: ApiUser, reader: ApiUser, post: Target
) -> None:
    services.file_report(reader.id, post, Reason.SPAM, "")
    assert moderation.hide(moderator, post, "spam")
    assert (decisions_of(author), decisions_of(reader)) == ([], [])


def test_a_decision_that_changes_nothing_sends_nothing(moderator: User, post: Target, spam: Policy) -> None:
    file_reports(post)
    for _ in range(2):
        moderation.hide(moderator, post, "", policy=spam, recipients=EVERYONE)
    moderation.dismiss(moderator, post, expected_version=1, recipients=EVERYONE)
    assert ModeratorMessage.objects.count() == 2


def test_only_the_newest_reporters_get_a_message(
    moderator: User, post: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MAX_TOLD_REPORTERS", 2)
    file_reports(post, 3)
    newest = set(Report.objects.order_by("-pk").values_list("reporter_id", flat=True)[:2])
    assert moderation.hide(moderator, post, "spam", recipients=EVERYONE)
    told = set(ModeratorMessage.objects.exclude(recipient_id=post.user_id).values_list("recipient_id", flat=True))
    assert told == newest


def test_no_message_to_a_reporter_who_is_being_erased(moderator: User, reader: ApiUser, post: Target) -> None:
    services.file_report(reader.id, post, Reason.SPAM, "")
    User.objects.filter(pk=reader.id).update(deleted_at=timezone.now(), is_active=False)
    assert moderation.hide(moderator, post, "spam", recipients=EVERYONE)
    assert ModeratorMessage.objects.get().recipient_id == post.user_id


def test_author_gets_one_message_about_a_suspension_that_closes_two_cases(
    moderator: User, author: ApiUser, post: Target
) -> None:
    other = create_post_target(author)
    for number, target in enumerate((post, other)):
        file_reports(target)
        assert moderation.suspend_author(moderator, target, None, "spam", expected_version=number, recipients=EVERYONE)
    assert ModeratorMessage.objects.filter(recipient_id=author.id).count() == 1
    assert ModeratorMessage.objects.count() == 3, "both reporters get theirs"


def test_reporters_of_related_cases_get_a_message(moderator: User, author: ApiUser, post: Target, spam: Policy) -> None:
    file_reports(post)
    for _ in range(2):
        moderation.close_related_case(moderator, post, "", policy=spam, recipients=EVERYONE)
    (message,) = ModeratorMessage.objects.all()
    assert message.recipient_id != author.id
    assert message.text == f"You reported a post. Moderators suspended its author.\n\n{spam.text}"


def test_messages_take_few_statements_for_any_number_of_reporters(
    moderator: User, post: Target, django_assert_max_num_queries: Callable[..., object]
) -> None:
    file_reports(post, 12)
    NotificationEvent.objects.all().delete()
    with transaction.atomic(), django_assert_max_num_queries(6):  # type: ignore[attr-defined]
        messages.tell_dismissed(post, Recipients(reporters=True))
    assert NotificationEvent.objects.count() == 12


def test_decisions_are_exported_and_erased(moderator: User, author: ApiUser, post: Target, spam: Policy) -> None:
    moderation.hide(moderator, post, "", policy=spam, recipients=EVERYONE)
    export = json.loads(author.call("get", "/me/export").getvalue())
    assert [row["text"] for row in export["decisions"]] == [f"Moderators hid your post: “hello”\n\n{spam.text}"]
    assert export["warnings"] == []


def test_decision_survives_the_deletion_of_its_post_until_it_is_old(
    moderator: User, author: ApiUser, post: Target
) -> None:
    moderation.hide(moderator, post, "spam", recipients=EVERYONE)
    moderation.warn(moderator, post, "Careful.", expected_version=0)
    assert len(decisions_of(author)) == 1
    assert author.call("delete", f"/posts/{post.id}").status_code == 204
    assert len(decisions_of(author)) == 1
    assert delete_older(timezone.now() + timedelta(days=1))
    assert decisions_of(author) == []
    assert ModeratorMessage.objects.get().kind == "warning"
    assert Notification.objects.get().kind == "warning"


# --- Second opinion ----------------------------------------------------------------------------------


def test_second_opinion(moderator: User, senior: User, post: Target) -> None:
    with pytest.raises(ActionRefused, match="open case"):
        moderation.ask_second_opinion(moderator, post, "not sure")
    case = file_reports(post)
    assert moderation.ask_second_opinion(moderator, post, "not sure")
    assert not moderation.ask_second_opinion(senior, post, "me neither"), "it is left to them already"
    case.refresh_from_db()
    assert (case.state, case.escalated_by_id) == (CaseState.OPEN, moderator.pk)
    with pytest.raises(ActionRefused, match="second opinion"):
        moderation.dismiss(moderator, post, expected_version=1)
    assert moderation.dismiss(senior, post, expected_version=1)
    case.refresh_from_db()
    assert (case.state, case.escalated_at, case.escalated_by_id) == (CaseState.DISMISSED, None, None)
    file_reports(post)
    assert moderation.hide(moderator, post, "spam"), "a case that is opened again is for all"
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["escalate", "dismiss", "hide"]


def test_a_suspension_on_the_users_page_does_not_decide_an_escalated_case(moderator: User, author: ApiUser) -> None:
    target = account_target(author)
    file_reports(target)
    moderation.ask_second_opinion(moderator, target, "not sure")
    with pytest.raises(ActionRefused, match="second opinion"):
        moderation.suspend_author(moderator, target, None, "spam")
    assert User.objects.get(pk=author.id).suspended_at is None


# --- Notes -------------------------------------------------------------------------------------------


def test_notes_are_erased_with_the_account_and_not_exported(moderator: User, author: ApiUser, post: Target) -> None:
    assert moderation.add_note(moderator, post, "Sells watches.")
    assert moderation.add_note(moderator, account_target(author), "Third account of this person.")
    assert not AuditEntry.objects.exists()
    assert b"watches" not in author.call("get", "/me/export").getvalue()
    assert set(Note.objects.values_list("target_type", "target_id", "user_id", "author_name")) == {
        ("post", post.id, author.id, "mod"),
        ("user", author.id, author.id, "mod"),
    }
    assert erase_notes(author.id)
    assert not Note.objects.exists()


def test_notes_need_a_text_and_an_account(moderator: User, post: Target) -> None:
    with pytest.raises(ActionRefused, match="reason"):
        moderation.add_note(moderator, post, "  ")
    with pytest.raises(ActionRefused, match="gone"):
        moderation.add_note(moderator, Target(TargetType.USER, 17, 17), "Who?")
    User.objects.filter(pk=post.user_id).update(deleted_at=timezone.now(), is_active=False)
    with pytest.raises(ActionRefused, match="erased"):
        moderation.add_note(moderator, post, "It could outlive the erasure.")


def test_moderators_leave_no_notes_about_staff(moderator: User) -> None:
    other = UserFactory(is_staff=True)
    with pytest.raises(ActionRefused, match="superusers"):
        moderation.add_note(moderator, Target(TargetType.USER, other.pk, other.pk), "Hm.")


# --- Mails to suspended authors ------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "end"), [(3, " UTC. You cannot sign in before."), (None, " for good.")])
def test_a_suspended_author_gets_a_mail_with_the_end_and_the_policy(
    days: int | None, end: str, moderator: User, author: ApiUser, post: Target, spam: Policy
) -> None:
    User.objects.filter(pk=author.id).update(email="author@example.org", email_verified=True)
    Policy.objects.filter(pk=spam.pk).update(text="No <b>spam</b> & the like.")
    spam.refresh_from_db()
    until = timezone.now() + timedelta(days=days) if days else None
    if until:
        end = f" until {until:%Y-%m-%d %H:%M}{end}"
    assert moderation.suspend_author(moderator, post, until, "secret", policy=spam, recipients=EVERYONE)
    (mail,) = send_due_mails()
    assert mail.to == ["author@example.org"]
    text, (html, _) = str(mail.body), mail.alternatives[0]  # type: ignore[attr-defined]
    assert end in text
    assert "No <b>spam</b> & the like." in text
    assert "No &lt;b&gt;spam&lt;/b&gt; &amp; the like." in html
    assert "secret" not in text + html


@pytest.mark.parametrize("case", ["not told", "not verified", "lifted", "suspended again", "erased"])
def test_a_suspended_author_gets_no_mail(
    case: str, moderator: User, author: ApiUser, post: Target, spam: Policy
) -> None:
    User.objects.filter(pk=author.id).update(email="author@example.org", email_verified=case != "not verified")
    recipients = Recipients(reporters=True) if case == "not told" else EVERYONE
    assert moderation.suspend_author(moderator, post, None, "", policy=spam, recipients=recipients)
    if case in ("lifted", "suspended again"):
        assert moderation.lift_suspension(moderator, post, "")
    if case == "suspended again":  # for less, and without telling
        assert moderation.suspend_author(moderator, post, timezone.now() + timedelta(days=3), "", policy=spam)
    if case == "erased":
        User.objects.filter(pk=author.id).update(deleted_at=timezone.now())
    assert send_due_mails() == []
