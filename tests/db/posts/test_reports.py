"""Reports: one per user and target, of visible targets only."""

from __future__ import annotations

import pytest
from django.http import Http404
from django.utils import timezone

from accounts.models import Policy, Reason, Severity, User
from posts import moderation, services
from posts.models import Case, CaseState, Report, TargetType
from posts.moderation.case_detail import load_case_detail
from posts.moderation.targets import load_snapshots, load_snapshots_for_cases
from posts.personal_data import erase_cases
from posts.services import Target
from social import services as social
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db


def report_body(kind: str, target: object, **more: object) -> dict[str, object]:
    return {"target_type": kind, "target_id": str(target), "reason": "spam", **more}


def dismiss(target: Target) -> None:
    moderator = UserFactory(is_staff=True)
    assert moderation.dismiss(moderator, target, expected_version=Case.objects.get().report_count)


def test_repeated_report_returns_the_first_one(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    comment = author.create_comment(post)
    for kind, target in (("post", post), ("comment", comment), ("user", author.id)):
        body = report_body(kind, target, note="look ⚠️")
        first = reader.call("post", "/reports", body)
        again = reader.call("post", "/reports", body | {"reason": "other", "note": "again"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert first.json() | body == first.json()
    assert Report.objects.count() == 3
    assert author.call("post", "/reports", report_body("post", post)).status_code == 201


def test_reports_of_one_target_share_a_case(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    for who, reason in ((reader, "spam"), (reader, "other"), (author, "nudity"), (ApiUser(), "spam")):
        who.call("post", "/reports", report_body("post", post) | {"reason": reason})
    case = Case.objects.get()
    assert (case.target_type, case.target_id, case.user_id) == ("post", int(post), author.id)
    assert (case.report_count, case.reasons) == (3, ["spam", "nudity"])
    assert case.first_reported_at < case.last_reported_at


def test_new_report_reopens_a_closed_case(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    reader.call("post", "/reports", report_body("post", post))
    Case.objects.update(state=CaseState.DISMISSED)
    reader.call("post", "/reports", report_body("post", post))
    assert Case.objects.get().state == CaseState.DISMISSED
    author.call("post", "/reports", report_body("post", post))
    assert Case.objects.get().state == CaseState.OPEN


def test_repeated_report_counts_again_after_an_edit(author: ApiUser, reader: ApiUser) -> None:
    """An author must not be able to edit a post after the dismissal of its reports."""
    post = author.create_post("harmless")
    body = report_body("post", post, note="first")
    first = reader.call("post", "/reports", body).json()
    Case.objects.update(state=CaseState.DISMISSED)
    assert author.call("patch", f"/posts/{post}", {"caption": "harmful"}).status_code == 200
    again = reader.call("post", "/reports", body | {"reason": "violence", "note": "second"})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert (again.json()["reason"], again.json()["note"]) == ("violence", "second")
    case = Case.objects.get()
    assert (case.state, case.report_count, case.reasons) == (CaseState.OPEN, 2, ["spam", "violence"])
    assert case.reported_texts == ["harmless", "harmful"]
    assert Report.objects.count() == 1


def test_repeated_report_of_a_known_text_changes_nothing(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post("one")
    for caption in ("two", "one"):
        reader.call("post", "/reports", report_body("post", post))
        author.call("patch", f"/posts/{post}", {"caption": caption})
    assert reader.call("post", "/reports", report_body("post", post)).status_code == 200
    assert (Case.objects.get().report_count, Case.objects.get().state) == (2, CaseState.OPEN)
    dismiss(Target(TargetType.POST, int(post), author.id))
    assert reader.call("post", "/reports", report_body("post", post)).status_code == 200
    case = Case.objects.get()
    assert (case.state, case.report_count, case.reported_texts) == (CaseState.DISMISSED, 2, ["one", "two"])


def test_going_back_to_a_reported_text_after_the_dismissal_opens_the_case_again(
    author: ApiUser, reader: ApiUser
) -> None:
    post = author.create_post("rude")
    reader.call("post", "/reports", report_body("post", post))
    author.call("patch", f"/posts/{post}", {"caption": "sorry"})
    dismiss(Target(TargetType.POST, int(post), author.id))
    reader.call("post", "/reports", report_body("post", post))
    assert Case.objects.get().state == CaseState.DISMISSED, "the moderator has seen this text"
    author.call("patch", f"/posts/{post}", {"caption": "rude"})
    reader.call("post", "/reports", report_body("post", post, note="again"))
    case = Case.objects.get()
    assert (case.state, case.report_count) == (CaseState.OPEN, 2)
    assert Report.objects.get().note == "again"


@pytest.mark.parametrize("part", ["display_name", "bio", "website", "username", "avatar"])
def test_profile_with_a_changed_part_can_be_reported_again(part: str, author: ApiUser, reader: ApiUser) -> None:
    changes = {
        "display_name": "Ada",
        "bio": "unkind",
        "website": "https://spam.example",
        "username": "free.coins",
        "avatar": str(ready_media(author.user).pk),
    }
    target = Target(TargetType.USER, author.id, author.id)
    reader.call("post", "/reports", report_body("user", author.id))
    dismiss(target)
    assert author.call("patch", "/me", {part: changes[part]}).status_code == 200
    reader.call("post", "/reports", report_body("user", author.id, note="look now"))
    case = Case.objects.get()
    assert (case.report_count, case.state, Report.objects.get().note) == (2, CaseState.OPEN, "look now")
    assert changes[part] in case.reported_texts[1]
    assert load_snapshots([target])[target].text == case.reported_texts[1], "the moderator sees what was compared"


def test_post_with_a_changed_alt_text_can_be_reported_again(author: ApiUser, reader: ApiUser) -> None:
    pictures = [ready_media(author.user) for _ in range(2)]
    post = services.create_post(author.id, "harbour", [picture.pk for picture in pictures]).pk
    target = Target(TargetType.POST, post, author.id)
    reader.call("post", "/reports", report_body("post", post))
    dismiss(target)
    author.call("patch", f"/media/{pictures[1].pk}", {"alt_text": "rude"})
    reader.call("post", "/reports", report_body("post", post))
    case = Case.objects.get()
    assert (case.state, case.reported_texts) == (CaseState.OPEN, ["harbour", "harbour\n\nAlt text of picture 2: rude"])
    assert load_snapshots([target])[target].text == case.reported_texts[1]


def test_no_reported_text_is_lost_to_reports_of_others(author: ApiUser, reader: ApiUser) -> None:
    """Neither the first one nor that of a reporter who came later, however often the author edits."""
    post, accomplice = author.create_post("0"), ApiUser()
    for number in range(1, 30):
        reporter = reader if number == 5 else accomplice
        assert reporter.call("post", "/reports", report_body("post", post)).status_code < 300
        author.call("patch", f"/posts/{post}", {"caption": str(number)})
    case = Case.objects.get()
    assert case.reported_texts == ["0", *(str(number) for number in range(20, 29))]
    assert len(case.known_texts) == 10
    (snapshot,) = load_snapshots_for_cases([case]).values()
    assert load_case_detail(snapshot).earlier_texts == [*(str(number) for number in range(28, 19, -1)), "0", "4"]


def test_texts_in_reports_are_erased_with_the_account(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post("my address")
    reader.call("post", "/reports", report_body("post", post))
    assert Report.objects.get().text == "my address"
    while not erase_cases(author.id):
        pass
    assert Report.objects.get().text == ""
    assert not Case.objects.exists()


def test_reporting_an_invisible_target_is_a_404(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    comment = author.create_comment(post)
    social.block(author.id, reader.id)
    for kind, target in (("post", post), ("comment", comment), ("user", author.id), ("post", 1), ("user", 2**62)):
        assert_error(reader.call("post", "/reports", report_body(kind, target)), 404)
    assert not Report.objects.exists()


@pytest.mark.parametrize("kind", ["post", "comment", "user"])
@pytest.mark.parametrize("gone", ["target", "account"])
def test_target_deleted_meanwhile_gets_no_case(kind: str, gone: str, author: ApiUser, reader: ApiUser) -> None:
    post = int(author.create_post())
    ids = {"post": post, "comment": int(author.create_comment(str(post))), "user": author.id}
    target = Target(TargetType(kind), ids[kind], author.id)
    if gone == "account" or kind == "user":
        User.objects.filter(pk=author.id).update(deleted_at=timezone.now())
    elif kind == "post":
        services.delete_post(post, author.id)
    else:
        services.delete_comment(ids["comment"])
    with pytest.raises(Http404):
        services.file_report(reader.id, target, Reason.SPAM, "")
    assert not Report.objects.exists()
    assert not Case.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"target_type": "like"},
        {"target_type": None},
        {"target_id": 5},
        {"target_id": None},
        {"reason": "boring"},
        {"reason": ["spam"]},
        {"note": None},
        {"note": "x" * 1_001},
    ],
)
def test_invalid_report_is_a_400(author: ApiUser, reader: ApiUser, change: dict[str, object]) -> None:
    assert_error(reader.call("post", "/reports", report_body("post", author.create_post()) | change), 400)
    assert not Report.objects.exists()


def test_case_has_the_highest_severity_of_its_reports(author: ApiUser) -> None:
    """A closed case that is opened again has only that of the new report."""
    target = Target(TargetType.POST, int(author.create_post()), author.id)

    def severity_after(reason: Reason) -> tuple[int, dict[str, int]]:
        services.file_report(UserFactory().pk, target, reason, "")
        case = Case.objects.get()
        return case.severity, case.reason_counts

    assert severity_after(Reason.SPAM) == (Severity.LOW, {"spam": 1})
    assert severity_after(Reason.HATE) == (Severity.HIGH, {"spam": 1, "hate": 1})
    assert severity_after(Reason.NUDITY) == (Severity.HIGH, {"spam": 1, "hate": 1, "nudity": 1})
    opened_at = Case.objects.get().opened_at
    dismiss(target)
    assert severity_after(Reason.NUDITY) == (Severity.MEDIUM, {"spam": 1, "hate": 1, "nudity": 2})
    assert Case.objects.get().opened_at > opened_at
    assert Case.objects.get().reasons == ["nudity", "hate", "spam"]
    Policy.objects.filter(reason=Reason.SPAM).update(is_active=False)
    dismiss(target)
    assert severity_after(Reason.SPAM)[0] == Severity.LOW
