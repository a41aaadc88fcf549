"""The queue and the pages of posts and comments: what a moderator sees and does over HTTP, and who may not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.admin.acts import Given
from accounts.models import AuditEntry, User
from posts import services
from posts.admin.acts import HIDE
from posts.admin.contents import PostAdmin
from posts.models import Case, CaseState, Comment, Post, Reason, TargetType
from posts.moderation.sights import Sight
from posts.services import Target
from social.models import Warning
from tests.factories import UserFactory
from tests.media.pictures import ready
from tests.posts.callers import Caller
from tests.staff import Staff

pytestmark = pytest.mark.django_db(transaction=True)

MOST_QUERIES = 15


@pytest.fixture
def moderator() -> Staff:
    return Staff("Moderator", username="mod")


def report(target: Target, times: int = 1, reason: Reason = Reason.SPAM, note: str = "") -> Case:
    for _ in range(times):
        services.report(UserFactory().pk, target, reason, note)
    return Case.objects.get(target_type=target.type, target_id=target.id)


def post_of(author: Caller, caption: str = "hello") -> Target:
    return Target(TargetType.POST, int(author.write(caption)), author.id)


def comment_of(author: Caller, post: Target, text: str = "nice") -> Target:
    return Target(TargetType.COMMENT, int(author.comment(str(post.id), text)), author.id)


def account_of(caller: Caller) -> Target:
    return Target(TargetType.USER, caller.id, caller.id)


# --- The queue ---------------------------------------------------------------------------------------


def test_the_queue_holds_what_is_open_and_the_most_reported_first(moderator: Staff, author: Caller) -> None:
    once, often, closed = (report(post_of(author), times) for times in (1, 3, 2))
    Case.objects.filter(pk=closed.pk).update(state=CaseState.DISMISSED, closed_at=timezone.now())
    assert moderator.rows("posts_case") == [often, once]
    assert moderator.rows("posts_case", state=CaseState.DISMISSED) == [closed]
    assert moderator.rows("posts_case", state=CaseState.ACTED) == []
    Case.objects.filter(pk=closed.pk).update(closed_at=timezone.now() - timedelta(days=91))
    assert moderator.rows("posts_case", state=CaseState.DISMISSED) == []
    assert moderator.rows("posts_case", q=author.name) == [closed, often, once]
    assert moderator.rows("posts_case", user_id=author.id) == [closed, often, once]


def test_it_is_filtered_by_type_and_reason_and_searched_by_author_and_id(
    moderator: Staff, author: Caller, reader: Caller
) -> None:
    post = post_of(author)
    cases = [report(post), report(comment_of(reader, post), reason=Reason.NUDITY), report(account_of(author))]
    assert moderator.rows("posts_case", type="comment") == cases[1:2]
    assert moderator.rows("posts_case", reason="nudity") == cases[1:2]
    assert moderator.rows("posts_case", reason="spam", type="user") == cases[2:]
    assert moderator.rows("posts_case", q=f"@{reader.name.upper()}") == cases[1:2]
    assert moderator.rows("posts_case", q=str(post.id)) == cases[:1]
    for nothing in ("nobody", "9" * 30, "0", "%"):
        assert moderator.rows("posts_case", q=nothing) == []


@pytest.mark.parametrize(
    "query", ["state=x", "state=9", "type=x", "reason=x", "o=3.-1", "p=x", "p=-1", "all=", "q=%00"]
)
def test_a_strange_address_is_no_error(query: str, moderator: Staff, author: Caller) -> None:
    report(post_of(author))
    assert moderator.client.get(f"{reverse('admin:posts_case_changelist')}?{query}").status_code in (200, 302)


@pytest.mark.parametrize("query", ["report_count__gt=0", "user_id=x", "target_id__contains=1"])
def test_other_columns_are_not_looked_at(query: str, moderator: Staff) -> None:
    assert moderator.client.get(f"{reverse('admin:posts_case_changelist')}?{query}").status_code in (302, 400)


@pytest.mark.parametrize("model", ["posts_case", "posts_post", "posts_comment", "accounts_auditentry"])
@pytest.mark.parametrize("id_", ["0", "x", "-1", "9" * 19, "9" * 40, "a/b", "%00"])
def test_an_id_of_nothing_leads_back(model: str, id_: str, moderator: Staff) -> None:
    url = reverse(f"admin:{model}_change", args=["ID"]).replace("ID", id_)
    assert moderator.client.get(url).status_code in (301, 302, 404)


# --- The page of a case ------------------------------------------------------------------------------


def test_a_case_shows_all_that_it_takes_to_decide(moderator: Staff, author: Caller) -> None:
    pictures = [ready(author.user, alt_text="a face") for _ in range(2)]
    post = services.create_post(author.id, "come <b>and</b> buy", [picture.pk for picture in pictures])
    target = Target(TargetType.POST, post.pk, author.id)
    other = report(account_of(author))
    case = report(target, 2, note="he sells watches")
    moderator.act("posts_post", "warn", post.pk, reason="No selling, please.")
    report(target)
    page = moderator.page("posts_case_change", case.pk)
    html = page.content.decode()
    for shown in ("come &lt;b&gt;and&lt;/b&gt; buy", "he sells watches", "a face", f"@{author.name}", "3 reports"):
        assert shown in html, shown
    assert [picture.url in html.replace("&amp;", "&") for picture in page.context["sight"].pictures] == [True, True]
    assert "No selling, please." in html
    assert reverse("admin:posts_case_change", args=[other.pk]) in html
    assert "style=" not in html
    assert [offer.act.name for offer in page.context["offers"]] == ["dismiss", "hide", "delete", "warn", "suspend"]


def test_a_hidden_post_is_shown_with_signed_urls_and_offered_to_be_restored(moderator: Staff, author: Caller) -> None:
    picture = ready(author.user, is_public=False)
    post = services.create_post(author.id, "", [picture.pk])
    case = report(Target(TargetType.POST, post.pk, author.id))
    services.hide_post(post.pk)
    page = moderator.page("posts_case_change", case.pk)
    assert "signature=" in page.context["sight"].pictures[0].url
    assert "restore" in [offer.act.name for offer in page.context["offers"]]


def test_what_is_gone_is_said_so_and_only_dismissed(moderator: Staff, author: Caller) -> None:
    target = post_of(author)
    case = report(target)
    services.delete_post(target.id, author.id)
    page = moderator.page("posts_case_change", case.pk)
    assert "The post was deleted." in page.content.decode()
    assert [offer.act.name for offer in page.context["offers"]] == ["dismiss"]
    assert "gone" in moderator.told("posts_case", "hide", case.pk, reason="spam")[0]
    assert moderator.told("posts_case", "dismiss", case.pk, **{f"seen-{case.pk}": 1}) == ["dismissed."]


def test_only_the_newest_hundred_reports_are_read(moderator: Staff, author: Caller) -> None:
    case = report(post_of(author), 103)
    page = moderator.page("posts_case_change", case.pk)
    assert len(page.context["dossier"].reports) == 100
    assert "103 reports, the newest 100" in page.content.decode()


def test_the_next_case_is_at_hand(moderator: Staff, author: Caller) -> None:
    one, two = report(post_of(author), 1), report(post_of(author), 2)
    assert moderator.page("posts_case_change", one.pk).context["next_case"] == two
    assert moderator.page("posts_case_change", two.pk).context["next_case"] == one


# --- Acts, each once over HTTP -----------------------------------------------------------------------


def seen_on(page: Any, act: str) -> dict[str, int]:
    """The hidden fields of an act's form on a row's page."""
    (offer,) = [offer for offer in page.context["offers"] if offer.act.name == act]
    return {f"seen-{pk}": number for pk, number in offer.seen.items()}


GIVEN: dict[str, dict[str, str]] = {
    "dismiss": {},
    "hide": {"reason": "spam"},
    "restore": {},
    "delete": {"reason": "spam"},
    "warn": {"reason": "Careful."},
    "suspend": {"reason": "spam", "length": "7"},
    "lift": {"reason": "appeal"},
}


def prepared(act: str, author: Caller) -> Case:
    target = post_of(author)
    case = report(target)
    if act == "restore":
        services.hide_post(target.id)
    if act == "lift":
        User.objects.filter(pk=author.id).update(is_active=False, suspended_at=timezone.now())
    return case


def happened(act: str, case: Case) -> bool:
    post, author = Post.objects.get(pk=case.target_id), User.objects.get(pk=case.user_id)
    case.refresh_from_db()
    return {
        "dismiss": case.state == CaseState.DISMISSED,
        "hide": post.hidden_at is not None,
        "restore": post.hidden_at is None,
        "delete": post.deleted_at is not None,
        "warn": Warning.objects.filter(recipient_id=author.pk, text="Careful.").exists(),
        "suspend": author.suspended_until is not None and not author.is_active,
        "lift": author.is_active,
    }[act]


@pytest.mark.parametrize("act", GIVEN)
def test_a_moderator_acts_on_the_page_of_a_case(act: str, moderator: Staff, author: Caller) -> None:
    case = prepared(act, author)
    seen = seen_on(moderator.page("posts_case_change", case.pk), act)
    told = moderator.told("posts_case", act, case.pk, **GIVEN[act], **seen)
    assert happened(act, case), told
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.reason) == ("mod", act, GIVEN[act].get("reason", ""))
    again = moderator.told("posts_case", act, case.pk, **GIVEN[act], **seen)
    assert AuditEntry.objects.count() == 1
    if act == "suspend":
        assert "Suspended meanwhile until" in again[0]
    elif act != "delete":
        assert again[0].startswith("That was done already by mod"), again


@pytest.mark.parametrize("act", GIVEN)
@pytest.mark.parametrize("who", ["plain staff", "operator", "user", "anonymous"])
def test_nobody_else_does(act: str, who: str, author: Caller) -> None:
    case = prepared(act, author)
    staff = Staff("Operator") if who == "operator" else Staff()
    if who == "user":
        User.objects.filter(pk=staff.user.pk).update(is_staff=False)
    if who == "anonymous":
        staff.client.logout()
    answer = staff.act("posts_case", act, case.pk, **GIVEN[act], **{f"seen-{case.pk}": 1})
    if who in ("plain staff", "operator"):
        assert answer.status_code == 403
    else:
        assert answer.status_code == 302
        assert "login" in answer["Location"]
    assert not AuditEntry.objects.exists()
    assert Case.objects.get().state == CaseState.OPEN
    for model in ("case", "post", "comment"):
        staff.page(f"posts_{model}_changelist", status=answer.status_code)


def test_a_right_of_one_act_is_no_right_to_another(author: Caller) -> None:
    from django.contrib.auth.models import Permission

    staff, case = Staff(), prepared("hide", author)
    rights = ("view_case", "moderate_post")
    staff.user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    page = staff.page("posts_case_change", case.pk)
    assert [offer.act.name for offer in page.context["offers"]] == ["dismiss", "hide", "delete"]
    assert page.context["dossier"].reports
    assert case.target_type in page.content.decode()
    assert "by</th><th>reason" not in page.content.decode(), "who reports is for those who may know"
    assert staff.act("posts_case", "suspend", case.pk, **GIVEN["suspend"]).status_code == 403


@pytest.mark.parametrize(
    ("act", "given", "wrong"),
    [
        ("hide", {"reason": "  "}, "reason"),
        ("hide", {"reason": "x" * 1_001}, "reason"),
        ("hide", {"reason": "a\0b"}, "reason"),
        ("warn", {}, "reason"),
        ("delete", {}, "reason"),
        ("suspend", {"length": "7"}, "reason"),
        ("suspend", {"reason": "spam", "length": "5"}, "length"),
        ("suspend", {"reason": "spam", "length": "x"}, "until"),
        ("suspend", {"reason": "spam", "length": "x", "until": "2020-01-01T00:00"}, "until"),
        ("suspend", {"reason": "spam", "length": "x", "until": "soon"}, "until"),
        ("suspend", {"reason": "spam", "length": "7", "until": "2099-01-01T00:00"}, "until"),
    ],
)
def test_a_form_that_is_not_right_is_shown_again(
    act: str, given: dict[str, str], wrong: str, moderator: Staff, author: Caller
) -> None:
    case = prepared(act, author)
    answer = moderator.act("posts_case", act, case.pk, **given)
    assert answer.status_code == 200
    assert wrong in answer.context["offer"].form.errors
    assert 'class="errorlist' in answer.content.decode()
    assert not AuditEntry.objects.exists()


SOON = timezone.now() + timedelta(days=1_000)


@pytest.mark.parametrize(
    ("given", "days"),
    [({"length": ""}, None), ({"length": "30"}, 30), ({"length": "x", "until": f"{SOON:%Y-%m-%dT%H:%M}"}, 999)],
)
def test_a_suspension_lasts_as_long_as_said(
    given: dict[str, str], days: int | None, moderator: Staff, author: Caller
) -> None:
    case = prepared("suspend", author)
    moderator.told("posts_case", "suspend", case.pk, reason="spam", **given)
    user = User.objects.get(pk=author.id)
    assert not user.is_active
    assert (user.suspended_until is None) == (days is None)
    if user.suspended_until and days:
        assert user.suspended_until > timezone.now() + timedelta(days=days - 1)


def test_acts_are_posts_with_a_token(moderator: Staff, author: Caller) -> None:
    case = prepared("hide", author)
    url = reverse("admin:posts_case_act", args=["hide"])
    assert moderator.client.get(url)["Location"] == reverse("admin:posts_case_changelist")
    moderator.client.handler.enforce_csrf_checks = True
    assert moderator.act("posts_case", "hide", case.pk, reason="spam").status_code == 403
    moderator.client.handler.enforce_csrf_checks = False
    assert moderator.act("posts_case", "nonsense", case.pk).status_code == 404
    for pks in ([], ["x"], ["9" * 40], ["1"] * 51):
        assert moderator.client.post(url, {"pk": pks, "reason": "spam"}).status_code == 400
    assert moderator.told("posts_case", "hide", 17, reason="spam") == ["That is gone by now."]
    assert not AuditEntry.objects.exists()


def test_a_way_back_leads_nowhere_else(moderator: Staff, author: Caller) -> None:
    case = prepared("hide", author)
    for back in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        answer = moderator.act("posts_case", "hide", case.pk, reason="spam", back=back)
        assert answer["Location"] == reverse("admin:posts_case_changelist")


# --- In bulk -----------------------------------------------------------------------------------------


def choose(staff: Staff, model: str, act: str, rows: list[Any], **more: Any) -> Any:
    """What the list answers to a bulk action."""
    data = {"action": act, "_selected_action": [str(row.pk) for row in rows], "index": "0", **more}
    return staff.client.post(reverse(f"admin:{model}_changelist") + "?type=post", data)


def test_a_bulk_action_asks_for_its_reason_on_one_page_and_then_acts_on_all(moderator: Staff, author: Caller) -> None:
    cases = [report(post_of(author, f"post {number}")) for number in range(3)]
    page = choose(moderator, "posts_case", "hide", cases)
    assert page.status_code == 200
    assert all(f"post {number}" in page.content.decode() for number in range(3))
    assert not AuditEntry.objects.exists()
    back = page.context["back"]
    assert back.endswith("?type=post")
    ids = [case.pk for case in cases]
    assert moderator.act("posts_case", "hide", *ids, back=back).status_code == 200, "without a reason"
    answer = moderator.act("posts_case", "hide", *ids, back=back, reason="spam wave")
    assert answer["Location"] == back
    assert Post.objects.filter(hidden_at__isnull=False).count() == 3
    assert set(AuditEntry.objects.values_list("action", "reason")) == {("hide", "spam wave")}
    assert AuditEntry.objects.count() == 3
    assert moderator.rows("posts_case") == []


def test_what_came_in_meanwhile_is_left_of_a_bulk_dismissal(moderator: Staff, author: Caller) -> None:
    targets = [post_of(author) for _ in range(2)]
    cases = [report(target) for target in targets]
    page = choose(moderator, "posts_case", "dismiss", cases)
    seen = {f"seen-{pk}": number for pk, _, number in page.context["rows"]}
    assert set(seen.values()) == {1}
    report(targets[1])
    told = moderator.told("posts_case", "dismiss", *[case.pk for case in cases], back=page.context["back"], **seen)
    assert told[0] == "1 dismissed."
    assert "1 more report" in told[1]
    assert moderator.rows("posts_case") == [cases[1]]


def test_authors_of_several_cases_are_suspended_once_and_all_cases_closed(moderator: Staff, author: Caller) -> None:
    cases = [report(post_of(author)), report(post_of(author)), report(post_of(Caller()))]
    page = choose(moderator, "posts_case", "suspend", cases)
    seen = {f"seen-{pk}": number for pk, _, number in page.context["rows"]}
    ids = [case.pk for case in cases]
    told = moderator.told("posts_case", "suspend", *ids, reason="spam ring", length="", **seen)
    assert told == ["2 suspended.", "1 more of the same accounts closed."]
    assert sorted(AuditEntry.objects.values_list("action", flat=True)) == ["close", "suspend", "suspend"]
    assert User.objects.filter(suspended_at__isnull=False).count() == 2
    assert not Case.objects.filter(state=CaseState.OPEN).exists()


def test_whoever_did_the_same_to_something_else_is_not_named(moderator: Staff, author: Caller) -> None:
    posts = [post_of(author), post_of(author)]
    moderator.told("posts_post", "hide", posts[0].id, reason="spam")
    services.hide_post(posts[1].id)
    assert moderator.told("posts_post", "hide", posts[1].id, reason="spam") == [
        "That was done already: nothing changed."
    ]
    again = moderator.told("posts_post", "hide", posts[0].id, reason="spam")
    assert again[0].startswith("That was done already by mod at")


def test_what_was_done_before_an_error_in_the_middle_is_followed_up(
    moderator: Staff, author: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts, withdrawn = [post_of(author) for _ in range(3)], list[Any]()

    def fails_at_the_second(actor: User, sight: Sight, given: Given) -> bool:
        if sight.target == posts[1]:
            raise RuntimeError("unexpected")
        return HIDE.perform(actor, sight, given)

    monkeypatch.setattr(PostAdmin, "acts", [replace(HIDE, perform=fails_at_the_second)])
    monkeypatch.setattr("posts.admin.acts.withdraw", lambda owners, first: withdrawn.append(owners))
    with pytest.raises(RuntimeError):
        moderator.act("posts_post", "hide", *[post.id for post in posts], reason="spam")
    assert withdrawn == [{author.id}]
    assert Post.objects.filter(hidden_at__isnull=False).count() == 1


def test_a_bulk_action_takes_no_more_than_what_is_ticked(moderator: Staff, author: Caller) -> None:
    cases = [report(post_of(author)) for _ in range(2)]
    page = choose(moderator, "posts_case", "hide", cases[:1], select_across="1")
    assert [pk for pk, *_ in page.context["rows"]] == [cases[0].pk]
    assert choose(moderator, "posts_case", "nonsense", cases).status_code in (200, 302)
    assert choose(Staff(), "posts_case", "hide", cases).status_code == 403


# --- Posts and comments ------------------------------------------------------------------------------


def test_posts_and_comments_are_found_by_author_and_id_and_filtered(
    moderator: Staff, author: Caller, reader: Caller
) -> None:
    post, other = post_of(author), post_of(reader)
    said = comment_of(reader, post)
    services.hide_post(other.id)
    gone = post_of(author)
    services.delete_post(gone.id, author.id)

    def found(model: str, **query: Any) -> list[int]:
        return [row.pk for row in moderator.rows(model, **query)]

    assert found("posts_post") == [other.id, post.id]
    assert found("posts_post", q=author.name) == [post.id]
    assert found("posts_post", q=str(other.id)) == [other.id]
    assert found("posts_post", author=reader.id) == [other.id]
    assert found("posts_post", hidden="1") == [other.id]
    assert found("posts_comment", q=reader.name) == [said.id]
    assert found("posts_comment", hidden="1") == []


@pytest.mark.parametrize("kind", ["post", "comment"])
def test_they_are_hidden_restored_and_deleted_from_their_own_page(kind: str, moderator: Staff, author: Caller) -> None:
    post = post_of(author, "my words")
    target = post if kind == "post" else comment_of(author, post, "my words")
    case, model = report(target), f"posts_{kind}"
    rows: Any = Post.objects if kind == "post" else Comment.objects
    page = moderator.page(f"{model}_change", target.id)
    assert "my words" in page.content.decode()
    assert reverse("admin:posts_case_change", args=[case.pk]) in page.content.decode()
    assert moderator.told(model, "hide", target.id, reason="spam") == ["hidden."]
    assert rows.get(pk=target.id).hidden_at
    case.refresh_from_db()
    assert case.state == CaseState.ACTED
    assert moderator.told(model, "restore", target.id) == ["restored."]
    assert moderator.act(model, "delete", target.id).status_code == 200, "without a reason"
    assert moderator.told(model, "delete", target.id, reason="spam") == ["deleted."]
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["hide", "restore", "delete"]


@pytest.mark.parametrize("model", ["case", "post", "comment"])
def test_nothing_is_added_changed_or_deleted_by_forms(model: str, author: Caller) -> None:
    superuser, post = Staff(is_superuser=True), post_of(author)
    pk = {"case": report(post).pk, "post": post.id, "comment": comment_of(author, post).id}[model]
    superuser.page(f"posts_{model}_add", status=403)
    superuser.page(f"posts_{model}_delete", pk, status=403)
    url = reverse(f"admin:posts_{model}_change", args=[pk])
    assert superuser.client.post(url, {"caption": "x", "text": "x", "state": "1"}).status_code == 403


# --- Size --------------------------------------------------------------------------------------------


def grown(author: Caller, size: int) -> None:
    for number in range(size):
        who = Caller() if number else author
        picture = ready(who.user)
        post = services.create_post(who.id, "x", [picture.pk])
        target = Target(TargetType.POST, post.pk, who.id)
        report(target, 1 + size // 4)
        report(comment_of(who, target))
        report(account_of(who))


def pages_of(author: Caller) -> dict[str, tuple[str, dict[str, str]]]:
    post = Post.objects.filter(author=author.id).order_by("pk")[0]
    comment = Comment.objects.filter(author=author.id).order_by("pk")[0]
    found = {
        f"list of {model}": (reverse(f"admin:posts_{model}_changelist"), {}) for model in ("case", "post", "comment")
    }
    found["search"] = (reverse("admin:posts_case_changelist"), {"q": author.name})
    found["filter"] = (reverse("admin:posts_case_changelist"), {"state": "0", "type": "post", "reason": "spam"})
    for kind, pk in (("post", post.pk), ("comment", comment.pk), ("user", author.id)):
        case = Case.objects.get(target_type=kind, target_id=pk)
        found[f"case of {kind}"] = (reverse("admin:posts_case_change", args=[case.pk]), {})
    found["post"] = (reverse("admin:posts_post_change", args=[post.pk]), {})
    found["comment"] = (reverse("admin:posts_comment_change", args=[comment.pk]), {})
    return found


def test_pages_take_as_many_queries_with_few_rows_as_with_many(moderator: Staff, author: Caller) -> None:
    def costs() -> dict[str, int]:
        found = {}
        for name, (url, query) in pages_of(author).items():
            with CaptureQueriesContext(connection) as queries:
                assert moderator.client.get(url, query).status_code == 200
            found[name] = len(queries)
        return found

    grown(author, 1)
    few = costs()
    assert max(few.values()) <= MOST_QUERIES, few
    grown(author, 8)
    assert costs() == few


# --- With many rows ----------------------------------------------------------------------------------

MANY = 20_000
_FILL = """
INSERT INTO accounts_user (username, email, password, display_name, bio, website, avatar_path, is_private, is_active,
                           is_staff, is_superuser)
SELECT 'person' || n, '', '', '', '', '', '', false, true, false, false FROM generate_series(1, 2000) AS n;
INSERT INTO posts_post (author_id, caption) SELECT id, 'x' FROM accounts_user, generate_series(1, 10)
    WHERE username LIKE 'person%%';
INSERT INTO posts_comment (post_id, author_id, text) SELECT id, author_id, 'y' FROM posts_post;
UPDATE posts_post SET hidden_at = now() WHERE id %% 100 = 0;
INSERT INTO posts_case (target_type, target_id, user_id, report_count, reasons, first_reported_at, last_reported_at,
                        state, closed_at)
SELECT 'post', id, author_id, 1 + id %% 7, ARRAY[CASE WHEN id %% 3 = 0 THEN 'spam' ELSE 'nudity' END], now(), now(),
       CASE WHEN id %% 10 = 0 THEN 0 ELSE 1 + id %% 2 END, CASE WHEN id %% 10 = 0 THEN NULL ELSE now() END
FROM posts_post;
INSERT INTO accounts_auditentry (actor_id, actor_name, action, target_type, target_id, user_id, reason, before, after)
SELECT 1 + author_id %% 20, 'mod', CASE WHEN id %% 9 = 0 THEN 'warn' ELSE 'hide' END, 'post', id, author_id, '',
       '{}', '{}' FROM posts_post;
ANALYZE accounts_user, accounts_auditentry, posts_post, posts_comment, posts_case
"""
LISTS: list[tuple[str, dict[str, str], int]] = [  # and how many rows may be read for a page, and for its pages' number
    ("posts_case", {}, 2_100),
    ("posts_case", {"reason": "spam"}, 4_000),  # no more than are open
    ("posts_case", {"state": "1"}, 5_100),  # every second of what is closed
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


def rows_read(plan: dict[str, Any]) -> int:
    """By all nodes that read a table, or nothing but an index."""
    reads = "Scan" in plan["Node Type"] and plan["Node Type"] != "Bitmap Index Scan"
    own = plan.get("Actual Rows", 0) + plan.get("Rows Removed by Filter", 0) if reads else 0
    loops = plan.get("Actual Loops", 1)
    return int(own * loops) + sum(rows_read(child) for child in plan.get("Plans", []))


def test_lists_read_no_more_than_they_show(moderator: Staff) -> None:
    with connection.cursor() as cursor:
        for statement in _FILL.replace("%%", "%").split(";\n"):
            cursor.execute(statement)
    assert Post.objects.count() == Case.objects.count() == AuditEntry.objects.count() == MANY
    too_much = {}
    for model, query, bound in LISTS:
        changelist = moderator.page(f"{model}_changelist", **query).context["cl"]
        page, number = changelist.queryset[:50], changelist.queryset.order_by().values("pk")[:2_000]
        for rows in (page, number):
            (plan,) = json.loads(rows.explain(format="json", analyze=True))
            if (read := rows_read(plan["Plan"])) > bound:
                too_much[model, str(query), rows is page] = (read, plan)
    assert not too_much, {name: read for name, (read, _) in too_much.items()}
