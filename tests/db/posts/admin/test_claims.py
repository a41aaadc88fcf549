"""The way through the moderators' queue: claims, the next case, and the filters of the list."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Reason
from posts import moderation
from posts.models import Case, CaseState, TargetType
from posts.moderation import claims
from posts.services import Target
from tests.db.posts.moderation_cases import account_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


@pytest.fixture
def colleague() -> StaffMember:
    return StaffMember("Moderator", username="colleague")


@pytest.fixture
def queue(author: ApiUser) -> list[Case]:
    """Four open cases in their order."""
    cases = [file_reports(create_post_target(author, f"post {number}")) for number in range(4)]
    for number, case in enumerate(cases):
        Case.objects.filter(pk=case.pk).update(opened_at=timezone.now() - timedelta(hours=9 - number))
    return list(Case.objects.order_by("opened_at"))


def find_claimer(case: Case) -> int | None:
    case.refresh_from_db()
    return case.claimed_by_id


def go(staff: StaffMember, **query: Any) -> int | None:
    """Return the case that *Next case* leads to; None for the list."""
    response = staff.client.get(reverse("admin:posts_case_next"), query)
    assert response.status_code == 302
    parts = urlsplit(response["Location"]).path.split("/")
    return int(parts[4]) if "change" in parts else None


def act_and_go_on(staff: StaffMember, case: Case, **query: str) -> Any:
    """Hide the case's post with *Hide and next*."""
    url = reverse("admin:posts_case_act", args=["hide"], query=query or None)
    return staff.client.post(url, {"pk": case.pk, "reason": "spam", "next": "1"})


# --- Claims ------------------------------------------------------------------------------------------


def test_opening_a_case_claims_it_and_releases_the_last_one(moderator: StaffMember, queue: list[Case]) -> None:
    for case in queue[:2]:
        page = moderator.page("posts_case_change", case.pk)
        assert page.context["is_claimed_by_me"]
    assert [find_claimer(case) for case in queue] == [None, moderator.user.pk, None, None]
    assert timedelta(minutes=4) < queue[1].claimed_until - timezone.now() <= claims.CLAIM_DURATION  # type: ignore[operator]


def test_case_of_a_colleague_stays_theirs_until_the_claim_ends(
    moderator: StaffMember, colleague: StaffMember, queue: list[Case]
) -> None:
    colleague.page("posts_case_change", queue[0].pk)
    page = moderator.page("posts_case_change", queue[0].pk)
    assert "@colleague has this case open until" in page.content.decode()
    assert find_claimer(queue[0]) == colleague.user.pk
    assert "@colleague" in moderator.page("posts_case_changelist").content.decode()
    Case.objects.filter(pk=queue[0].pk).update(claimed_until=timezone.now())
    moderator.page("posts_case_change", queue[0].pk)
    assert find_claimer(queue[0]) == moderator.user.pk


def test_claim_is_only_a_hint(moderator: StaffMember, colleague: StaffMember, queue: list[Case]) -> None:
    colleague.page("posts_case_change", queue[0].pk)
    assert moderator.run_action("posts_case", "hide", queue[0].pk, reason="spam") == ["hidden."]


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose"])
def test_prefetch_does_not_claim(header: str, moderator: StaffMember, queue: list[Case]) -> None:
    url = reverse("admin:posts_case_change", args=[queue[0].pk])
    assert moderator.client.get(url, headers={header: "prefetch;prerender"}).status_code == 200
    next_url = reverse("admin:posts_case_next")
    assert moderator.client.get(next_url, headers={header: "prefetch"}).status_code == 503
    assert moderator.client.head(url).status_code == 200
    assert find_claimer(queue[0]) is None


def test_closed_case_cannot_be_claimed(moderator: StaffMember, queue: list[Case]) -> None:
    Case.objects.filter(pk=queue[0].pk).update(state=CaseState.ACTED, closed_at=timezone.now())
    moderator.page("posts_case_change", queue[0].pk)
    assert find_claimer(queue[0]) is None
    assert claims.renew(queue[0].pk, moderator.user.pk) is None


def test_page_renews_and_releases_its_claim(moderator: StaffMember, colleague: StaffMember, queue: list[Case]) -> None:
    url, case = reverse("admin:posts_case_claim"), queue[0]
    moderator.page("posts_case_change", case.pk)
    Case.objects.filter(pk=case.pk).update(claimed_until=timezone.now() + timedelta(minutes=1))
    until = moderator.client.post(url, {"pk": case.pk}).json()["until"]
    assert until
    assert colleague.client.post(url, {"pk": case.pk}).json() == {"until": None}
    assert colleague.client.post(url, {"pk": case.pk, "release": until}).json() == {"released": False}
    assert find_claimer(case) == moderator.user.pk
    assert moderator.client.post(url, {"pk": case.pk, "release": until}).json() == {"released": True}
    assert find_claimer(case) is None


def test_late_release_of_a_reloaded_page_changes_nothing(moderator: StaffMember, queue: list[Case]) -> None:
    first = moderator.page("posts_case_change", queue[0].pk).context["row"].claimed_until
    moderator.page("posts_case_change", queue[0].pk)
    released = {"pk": queue[0].pk, "release": first.isoformat()}
    assert moderator.client.post(reverse("admin:posts_case_claim"), released).json() == {"released": False}
    assert find_claimer(queue[0]) == moderator.user.pk


@pytest.mark.parametrize(
    "data",
    [
        *({}, {"pk": "x"}, {"pk": "1", "release": "x"}, {"pk": "1", "release": "2026-13-99"}),
        {"pk": "1", "release": "9999-12-31T23:59:59-23:59"},
        {"pk": "1", "release": "2026-01-01T00:00:00+23:59"},
    ],
)
def test_invalid_claims_are_no_error(data: dict[str, str], moderator: StaffMember) -> None:
    assert moderator.client.post(reverse("admin:posts_case_claim"), data).status_code == 200


def test_others_cannot_claim(queue: list[Case]) -> None:
    for staff in (StaffMember(), StaffMember("Operator")):
        assert staff.client.get(reverse("admin:posts_case_next")).status_code == 403
        assert staff.client.post(reverse("admin:posts_case_claim"), {"pk": queue[0].pk}).status_code == 403
    assert find_claimer(queue[0]) is None


# --- The next case -----------------------------------------------------------------------------------


def test_next_and_previous_case_skip_those_of_colleagues(
    moderator: StaffMember, colleague: StaffMember, queue: list[Case]
) -> None:
    colleague.page("posts_case_change", queue[1].pk)
    assert go(moderator) == queue[0].pk
    assert go(moderator, after=queue[0].pk) == queue[2].pk
    assert find_claimer(queue[2]) == moderator.user.pk
    assert go(moderator, before=queue[2].pk) == queue[0].pk
    assert go(moderator, after=queue[3].pk) == queue[3].pk, "stays where it is"
    assert [find_claimer(case) for case in queue[2:]] == [None, None]


def test_page_shows_the_position_in_the_list(
    moderator: StaffMember, colleague: StaffMember, queue: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    colleague.page("posts_case_change", queue[2].pk)
    positions = [moderator.page("posts_case_change", case.pk).context["position"] for case in queue]
    assert [(each.number, each.total, each.has_previous, each.has_next, each.is_last) for each in positions] == [
        (1, 4, False, True, False),
        (2, 4, True, True, False),
        (3, 4, True, True, False),
        (4, 4, True, False, True),
    ]
    assert "4 of 4 – the last" in moderator.page("posts_case_change", queue[3].pk).content.decode()
    assert positions[1].with_others == 1
    monkeypatch.setattr("posts.admin.case_list.MAX_LISTED_ROWS", 2)
    assert "1 of 2+" in moderator.page("posts_case_change", queue[0].pk).content.decode()
    assert moderator.page("posts_case_change", queue[3].pk).context["position"].number is None
    assert go(moderator, after=queue[2].pk) == queue[3].pk


def test_hide_and_next_is_one_request_and_says_what_was_done(moderator: StaffMember, queue: list[Case]) -> None:
    response = act_and_go_on(moderator, queue[0])
    assert response["Location"] == reverse("admin:posts_case_change", args=[queue[1].pk])
    assert find_claimer(queue[1]) == moderator.user.pk
    (message,) = moderator.client.get(response["Location"]).context["messages"]
    assert reverse("admin:posts_case_change", args=[queue[0].pk]) in str(message)
    assert "hidden." in str(message)


def test_next_starts_again_at_the_top_and_ends_with_the_list(moderator: StaffMember, queue: list[Case]) -> None:
    act_and_go_on(moderator, queue[0])
    for decided, then in ((queue[3], queue[1]), (queue[1], queue[2])):
        location = act_and_go_on(moderator, decided)["Location"]
        assert location == reverse("admin:posts_case_change", args=[then.pk])
    response = act_and_go_on(moderator, queue[2])
    assert response["Location"] == reverse("admin:posts_case_changelist")
    messages = [str(message) for message in moderator.client.get(response["Location"]).context["messages"]]
    assert messages[-1] == "That was the last case of the list that no colleague has open."


def test_refused_action_stays_on_the_case(moderator: StaffMember, author: ApiUser, queue: list[Case]) -> None:
    author.user.is_staff = True
    author.user.save()
    response = act_and_go_on(moderator, queue[0])
    assert response["Location"] == reverse("admin:posts_case_change", args=[queue[0].pk])


def test_form_with_errors_still_goes_on_afterwards(moderator: StaffMember, queue: list[Case]) -> None:
    url = reverse("admin:posts_case_act", args=["hide"], query={"_changelist_filters": "type=post"})
    page = moderator.client.post(url, {"pk": queue[0].pk, "reason": "", "next": "1"})
    assert page.status_code == 200
    html = page.content.decode()
    assert '<input type="hidden" name="next" value="1">' in html
    assert "_changelist_filters=type%3Dpost" in html


def test_filters_and_order_are_kept(moderator: StaffMember, author: ApiUser, queue: list[Case]) -> None:
    account = file_reports(account_target(author), reason=Reason.CHILD_SAFETY)
    filters = f"type={TargetType.POST}"
    assert go(moderator) == account.pk, "the most severe one"
    assert go(moderator, _changelist_filters=filters) == queue[0].pk
    page = moderator.page("posts_case_change", queue[0].pk, _changelist_filters=filters)
    assert page.context["position"].total == 4
    assert f"{reverse('admin:posts_case_changelist')}?{filters}" in page.content.decode()
    location = act_and_go_on(moderator, queue[0], _changelist_filters=filters)["Location"]
    assert urlsplit(location).path == reverse("admin:posts_case_change", args=[queue[1].pk])
    assert parse_qs(urlsplit(location).query) == {"_changelist_filters": [filters]}
    response = moderator.client.post(
        reverse("admin:posts_case_act", args=["hide"], query={"_changelist_filters": filters}),
        {"pk": queue[1].pk, "reason": "spam"},
    )
    assert parse_qs(urlsplit(response["Location"]).query) == {"_changelist_filters": [filters]}


def test_way_through_closed_and_found_cases(moderator: StaffMember, author: ApiUser, queue: list[Case]) -> None:
    Case.objects.filter(pk__in=[case.pk for case in queue[:2]]).update(state=CaseState.ACTED)
    for number, case in enumerate(queue[:2]):
        Case.objects.filter(pk=case.pk).update(closed_at=timezone.now() - timedelta(hours=number))
    closed = f"state={CaseState.ACTED.value}"
    assert go(moderator, after=queue[0].pk, _changelist_filters=closed) == queue[1].pk
    assert go(moderator, after=queue[3].pk, _changelist_filters=f"q={author.username}") == queue[2].pk


@pytest.mark.parametrize("filters", ["nonsense=1", "report_count__gt=0", "user_id=x", "q=%00", "p=x", "%0A", "state=9"])
def test_invalid_filters_are_no_error(filters: str, moderator: StaffMember, queue: list[Case]) -> None:
    moderator.page("posts_case_change", queue[0].pk, _changelist_filters=filters)
    response = moderator.client.get(reverse("admin:posts_case_next"), {"_changelist_filters": filters})
    assert response.status_code == 302


def test_list_filters_by_severity_claim_and_second_opinion(
    moderator: StaffMember, colleague: StaffMember, author: ApiUser, queue: list[Case]
) -> None:
    severe = file_reports(account_target(author), reason=Reason.CHILD_SAFETY)
    moderator.page("posts_case_change", queue[2].pk)
    colleague.page("posts_case_change", queue[1].pk)
    Case.objects.filter(pk=queue[3].pk).update(escalated_at=timezone.now(), escalated_by_id=colleague.user.pk)
    assert moderator.rows("posts_case", severity=str(severe.severity)) == [severe]
    assert moderator.rows("posts_case", claimed="1") == [queue[2]]
    assert moderator.rows("posts_case", escalated="1") == [queue[3]]
    assert "second opinion" in moderator.page("posts_case_changelist", escalated="1").content.decode()
    assert "Second opinion asked for by @colleague" in moderator.page("posts_case_change", queue[3].pk).content.decode()


def test_next_leaves_cases_that_wait_for_a_second_opinion_to_seniors(moderator: StaffMember, queue: list[Case]) -> None:
    first, second, third = queue[:3]
    target = Target(TargetType(second.target_type), second.target_id, second.user_id)
    moderation.ask_second_opinion(moderator.user, target, "not sure")
    senior = StaffMember("Senior moderator")
    assert go(moderator, after=first.pk) == third.pk
    moderator.page("posts_case_change", second.pk)
    moderator.client.post(reverse("admin:posts_case_claim"), {"pk": second.pk})
    assert find_claimer(second) is None, "the page of who asked does not keep it from those who answer"
    assert go(senior, after=first.pk) == second.pk


def test_lists_offer_only_bulk_actions_that_fit(moderator: StaffMember) -> None:
    def offered(model: str, **query: Any) -> set[str]:
        choices = moderator.page(f"{model}_changelist", **query).context["action_form"].fields["action"].choices
        return {name for name, _ in choices if name}

    common = {"hide", "hide_and_warn", "delete", "warn", "suspend"}
    assert offered("posts_case") == common | {"dismiss"}
    assert offered("posts_case", state="1") == common | {"restore", "lift"}
    assert offered("posts_post") == common | {"dismiss"}
    assert offered("posts_post", hidden="1") == {"restore", "delete", "dismiss", "warn", "suspend", "lift"}
    assert {"suspend", "lift"} & offered("accounts_user") == {"suspend"}
    assert {"suspend", "lift"} & offered("accounts_user", suspended="1") == {"lift"}
