"""The admin of users and groups, and what its pages and those of the audit log cost."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import former_usernames, sessions
from accounts.audit import record
from accounts.models import AuditEntry, CelebrityState, Session, User
from tests.db.accounts.auth_client import is_token_accepted, start_session
from tests.support.factories import UserFactory
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db

MAX_QUERIES = 15


def listed_usernames(viewer: StaffMember, **query: str) -> set[str]:
    return {user.username for user in viewer.rows("accounts_user", **query)}


def offered_actions(staff: StaffMember, user: User) -> list[str]:
    return [bound.action.name for bound in staff.page("accounts_user_change", user.pk).context["bound_actions"]]


# --- The list ----------------------------------------------------------------------------------------


def test_search_by_username_prefix_or_email(moderator: StaffMember) -> None:
    UserFactory(username="alice", email="Alice@example.org")
    UserFactory(username="malice", email="m@example.org")
    assert listed_usernames(moderator, q="ALI") == {"alice"}
    assert listed_usernames(moderator, q="alice@EXAMPLE.org") == {"alice"}
    assert listed_usernames(moderator, q="example") == set()
    assert listed_usernames(moderator) == {"alice", "malice", "mod"}


def test_list_filters(moderator: StaffMember) -> None:
    UserFactory(username="singer", celebrity_state=CelebrityState.CELEBRITY, celebrity_pin=True)
    moderator.post_action("accounts_user", "suspend", UserFactory(username="spammer").pk, reason="spam", length="")
    UserFactory()
    assert listed_usernames(moderator, staff="1") == {"mod"}
    assert listed_usernames(moderator, suspended="1") == {"spammer"}
    assert listed_usernames(moderator, celebrity="1") == listed_usernames(moderator, pinned="1") == {"singer"}


# --- Editing -----------------------------------------------------------------------------------------


def test_superuser_edit_is_saved_and_audited(superuser: StaffMember) -> None:
    user = UserFactory(username="alice", email="a@example.org")
    url = reverse("admin:accounts_user_change", args=[user.pk])
    moderators = Group.objects.get(name="Moderator")
    data = {"username": "alicia", "email": "a@example.org", "bio": "", "follower_count": "9", "is_private": "on"}
    assert superuser.client.post(url, data | {"is_staff": "on", "groups": [moderators.pk]}).status_code == 302
    user.refresh_from_db()
    assert (user.username, user.is_private, user.is_staff, user.follower_count) == ("alicia", True, True, 0)
    assert list(user.groups.all()) == [moderators]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.user_id) == ("edit_user", "root", user.pk)
    assert entry.before == {"is_staff": False, "groups": ""}
    assert entry.after == {"fields": "username, is_private, is_staff, groups", "is_staff": True, "groups": "Moderator"}


def test_removed_groups_are_audited(superuser: StaffMember, moderator: StaffMember) -> None:
    data = {"username": "mod", "email": moderator.user.email, "is_staff": "on"}
    url = reverse("admin:accounts_user_change", args=[moderator.user.pk])
    assert superuser.client.post(url, data).status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.before, entry.after) == ({"groups": "Moderator"}, {"groups": "", "fields": "groups"})


@pytest.mark.parametrize(
    "data",
    [
        *({"username": "Not Plain"}, {"username": "BOB"}, {"username": "bob"}, {"username": "bobs.former.name"}),
        *({"username": "relationships"}, {"username": "Relationships"}),
    ],
)
def test_invalid_or_taken_username_shows_errors(superuser: StaffMember, data: dict[str, str]) -> None:
    former_usernames.record_rename(UserFactory(username="bob").pk, "bobs.former.name", "bob")
    user = UserFactory(username="alice")
    response = superuser.client.post(reverse("admin:accounts_user_change", args=[user.pk]), data)
    assert response.status_code == 200
    assert response.context["errors"]
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("group", ["Moderator", "Operator"])
def test_only_superusers_edit_users(group: str) -> None:
    staff = StaffMember(group)
    staff.user.user_permissions.add(*Permission.objects.filter(content_type__app_label__in=["accounts", "auth"]))
    for user in (staff.user, UserFactory()):
        url = reverse("admin:accounts_user_change", args=[user.pk])
        data = {"username": user.username, "bio": "new", "is_staff": "on", "is_superuser": "on"}
        assert staff.client.post(url, data).status_code == 403
        user.refresh_from_db()
        assert (user.bio, user.is_superuser) == ("", False)


def test_users_cannot_be_added_or_deleted(superuser: StaffMember) -> None:
    user = UserFactory()
    superuser.page("accounts_user_add", status=403)
    superuser.page("accounts_user_delete", user.pk, status=403)


@pytest.mark.parametrize("role", ["superuser", "moderator", "operator"])
def test_pages_show_no_credentials(role: str, request: pytest.FixtureRequest) -> None:
    staff: StaffMember = request.getfixturevalue(role)
    user = UserFactory(password="correct horse battery")
    tokens = sessions.start(user)
    jti = Session.objects.get(user=user).refresh_jti
    for page in (staff.page("accounts_user_change", user.pk), staff.page("accounts_user_changelist")):
        html = page.content.decode()
        for secret in (user.password, jti, tokens.access, tokens.refresh):
            assert secret not in html


# --- Actions -----------------------------------------------------------------------------------------


def test_user_page_shows_counts_and_links(moderator: StaffMember) -> None:
    user = UserFactory(username="alice", bio="I <3 cats", follower_count=7)
    start_session(user)
    page = moderator.page("accounts_user_change", user.pk)
    html = page.content.decode()
    assert (page.context["counts"].follower_count, page.context["live_sessions"]) == (7, 1)
    assert "I &lt;3 cats" in html
    for url in ("posts/post/?author=", "posts/comment/?author=", "posts/case/?user_id=", "auditentry/?user_id="):
        assert f"{url}{user.pk}" in html
        _, url = next((text, url) for text, url in page.context["links"] if f"{url}{user.pk}")
        assert moderator.client.get(url).status_code == 200
    assert "style=" not in html


def test_user_page_shows_permitted_actions(
    superuser: StaffMember, moderator: StaffMember, operator: StaffMember
) -> None:
    user = UserFactory()
    assert offered_actions(moderator, user) == ["suspend", "warn", "end_sessions", "note"]
    assert offered_actions(operator, user) == ["pull", "push"]
    assert offered_actions(superuser, user) == ["suspend", "warn", "end_sessions", "pull", "push", "note"]


def test_moderator_suspends_reinstates_and_ends_sessions(moderator: StaffMember) -> None:
    user = UserFactory()
    access = start_session(user).access
    assert moderator.post_action("accounts_user", "suspend", user.pk, length="7").status_code == 200, (
        "the reason is required"
    )
    assert moderator.run_action("accounts_user", "suspend", user.pk, reason="spam", length="7") == ["suspended."]
    assert not is_token_accepted(access)
    again = moderator.run_action("accounts_user", "suspend", user.pk, reason="spam", length="30")
    assert "Suspended meanwhile until" in again[0]
    assert offered_actions(moderator, user) == ["suspend", "warn", "lift", "end_sessions", "note"]
    assert moderator.run_action("accounts_user", "lift", user.pk) == ["reinstated."]
    assert is_token_accepted(access)
    assert moderator.run_action("accounts_user", "end_sessions", user.pk, reason="stolen") == ["signed out."]
    assert not is_token_accepted(access)
    actions = AuditEntry.objects.order_by("pk").values_list("action", "reason", "user_id")
    assert list(actions) == [("suspend", "spam", user.pk), ("lift", "", user.pk), ("end_sessions", "stolen", user.pk)]


def test_operator_pins_and_unpins(operator: StaffMember) -> None:
    user = UserFactory()
    assert operator.run_action("accounts_user", "pull", user.pk, reason="a singer") == ["pinned."]
    assert offered_actions(operator, user) == ["push", "unpin"]
    assert operator.run_action("accounts_user", "push", user.pk) == ["pinned."]
    assert User.objects.get(pk=user.pk).celebrity_pin is False
    assert operator.run_action("accounts_user", "unpin", user.pk) == ["unpinned."]
    assert User.objects.get(pk=user.pk).celebrity_pin is None
    assert AuditEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("role", "action"),
    [
        *(("operator", action) for action in ("suspend", "lift", "end_sessions")),
        *(("moderator", action) for action in ("pull", "push", "unpin")),
        *(("plain", action) for action in ("suspend", "lift", "end_sessions", "pull", "push", "unpin")),
    ],
)
def test_actions_require_permission(role: str, action: str, request: pytest.FixtureRequest) -> None:
    staff = StaffMember() if role == "plain" else request.getfixturevalue(role)
    user = UserFactory()
    response = staff.post_action("accounts_user", action, user.pk, reason="because", length="7")
    assert response.status_code == 403
    assert not AuditEntry.objects.exists()
    assert User.objects.get(pk=user.pk).is_active


def test_moderators_cannot_act_on_superusers_nor_superusers_on_themselves(
    moderator: StaffMember, superuser: StaffMember
) -> None:
    for action in ("suspend", "end_sessions"):
        messages = moderator.run_action("accounts_user", action, superuser.user.pk, reason="coup", length="")
        assert messages == ["root: Only superusers may act on staff."]
    messages = superuser.run_action("accounts_user", "suspend", superuser.user.pk, reason="oops", length="")
    assert messages == ["root: You cannot suspend yourself."]
    assert not AuditEntry.objects.exists()


def test_bulk_suspension_after_confirmation(moderator: StaffMember, superuser: StaffMember) -> None:
    users = [UserFactory(), UserFactory(), superuser.user]
    ids = [user.pk for user in users]
    page = moderator.client.post(
        reverse("admin:accounts_user_changelist"), {"action": "suspend", "_selected_action": ids, "index": "0"}
    )
    assert page.status_code == 200
    assert User.objects.filter(is_active=False).count() == 0
    messages = moderator.run_action(
        "accounts_user", "suspend", *ids, reason="ring", length="", back=page.context["back"]
    )
    assert messages == ["2 suspended.", "root: Only superusers may act on staff."]
    assert User.objects.filter(is_active=False).count() == 2


def test_suspended_moderator_loses_access_at_once(moderator: StaffMember, superuser: StaffMember) -> None:
    superuser.run_action("accounts_user", "suspend", moderator.user.pk, reason="abuse", length="")
    moderator.page("accounts_user_changelist", status=302)
    assert moderator.post_action("accounts_user", "lift", moderator.user.pk).status_code == 302
    assert not User.objects.get(pk=moderator.user.pk).is_active


# --- Groups ------------------------------------------------------------------------------------------


def test_group_changes_are_audited(superuser: StaffMember) -> None:
    view_user, suspend_user = (Permission.objects.get(codename=name) for name in ("view_user", "suspend_user"))

    def post(page: str, *args: int, **data: object) -> None:
        assert superuser.client.post(reverse(f"admin:auth_group_{page}", args=args), data).status_code == 302

    post("add", name="Helper", permissions=[view_user.pk])
    group = Group.objects.get(name="Helper")
    post("change", group.pk, name="Helper", permissions=[view_user.pk, suspend_user.pk])
    post("change", group.pk, name="Helper", permissions=[view_user.pk, suspend_user.pk])
    superuser.user.groups.set([group])
    post("delete", group.pk, post="yes")
    other = Group.objects.create(name="Other")
    post("changelist", action="delete_selected", _selected_action=[other.pk], post="yes")
    assert set(Group.objects.values_list("name", flat=True)) == {"Moderator", "Operator", "Senior moderator"}
    both = "suspend_user, view_user"
    rows = AuditEntry.objects.filter(actor_name="root", target_type="group", user_id=None).order_by("pk")
    assert list(rows.values_list("action", "target_id", "before", "after")) == [
        ("add_group", group.pk, {"name": None, "permissions": ""}, {"name": "Helper", "permissions": "view_user"}),
        ("change_group", group.pk, {"permissions": "view_user"}, {"permissions": both}),
        (
            "delete_group",
            group.pk,
            {"name": "Helper", "permissions": both, "members": 1},
            {"name": None, "permissions": "", "members": 0},
        ),
        ("delete_group", other.pk, {"name": "Other"}, {"name": None}),
    ]
    assert superuser.rows("accounts_auditentry", action="delete_group") == list(rows)[:1:-1]


# --- Queries -----------------------------------------------------------------------------------------


def test_query_counts_do_not_depend_on_row_count(superuser: StaffMember, moderator: StaffMember) -> None:
    user = UserFactory()

    def count_queries() -> dict[str, int]:
        found = {}
        for role, staff in (("superuser", superuser), ("moderator", moderator)):
            for name, arguments in (
                ("accounts_user_changelist", []),
                ("accounts_user_change", [user.pk]),
                ("accounts_auditentry_changelist", []),
                ("accounts_auditentry_change", [AuditEntry.objects.order_by("pk")[0].pk]),
            ):
                with CaptureQueriesContext(connection) as queries:
                    staff.page(name, *arguments)
                found[f"{role}: {name}"] = len(queries)
        return found

    record(moderator.user, "warn", "user", user.pk, user_id=user.pk)
    count_queries()  # fills the caches of the process
    few = count_queries()
    assert max(few.values()) <= MAX_QUERIES, few
    for other in UserFactory.create_batch(60):
        sessions.start(user)
        record(moderator.user, "warn", "user", other.pk, user_id=user.pk)
    assert count_queries() == few
