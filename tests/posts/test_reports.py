"""Reports: once a person and target, about what the reporter sees."""

from __future__ import annotations

import pytest

from posts.models import Case, CaseState, Report
from social import services as social
from tests.api.shape import check_shape
from tests.posts.callers import Caller
from tests.social.helpers import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def about(kind: str, target: object, **more: object) -> dict[str, object]:
    return {"target_type": kind, "target_id": str(target), "reason": "spam", **more}


def test_posts_comments_and_users_are_reported_once(author: Caller, reader: Caller) -> None:
    post = author.write()
    comment = author.comment(post)
    for kind, target in (("post", post), ("comment", comment), ("user", author.id)):
        body = about(kind, target, note="look ⚠️")
        first = reader.call("post", "/reports", body)
        again = reader.call("post", "/reports", body | {"reason": "other", "note": "again"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert first.json() | body == first.json()
    assert Report.objects.count() == 3
    assert author.call("post", "/reports", about("post", post)).status_code == 201


def test_two_at_once_make_one(author: Caller, reader: Caller) -> None:
    body = about("post", author.write())
    answers = at_once([lambda: reader.call("post", "/reports", body)] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]


def test_reports_of_one_target_add_up_to_one_case(author: Caller, reader: Caller) -> None:
    post = author.write()
    for who, reason in ((reader, "spam"), (reader, "other"), (author, "nudity"), (Caller(), "spam")):
        who.call("post", "/reports", about("post", post) | {"reason": reason})
    case = Case.objects.get()
    assert (case.target_type, case.target_id, case.user_id) == ("post", int(post), author.id)
    assert (case.report_count, case.reasons) == (3, ["spam", "nudity"])
    assert case.first_reported_at < case.last_reported_at


def test_a_new_report_opens_a_closed_case(author: Caller, reader: Caller) -> None:
    post = author.write()
    reader.call("post", "/reports", about("post", post))
    Case.objects.update(state=CaseState.DISMISSED)
    reader.call("post", "/reports", about("post", post))
    assert Case.objects.get().state == CaseState.DISMISSED
    author.call("post", "/reports", about("post", post))
    assert Case.objects.get().state == CaseState.OPEN


def test_what_the_reporter_does_not_see_is_a_404(author: Caller, reader: Caller) -> None:
    post = author.write()
    comment = author.comment(post)
    social.block(author.id, reader.id)
    for kind, target in (("post", post), ("comment", comment), ("user", author.id), ("post", 1), ("user", 2**62)):
        check_shape(reader.call("post", "/reports", about(kind, target)), 404)
    assert not Report.objects.exists()


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
def test_a_malformed_report_is_a_400(author: Caller, reader: Caller, change: dict[str, object]) -> None:
    check_shape(reader.call("post", "/reports", about("post", author.write()) | change), 400)
    assert not Report.objects.exists()
