"""The visibility matrix: the status of every call on a post, comment, list or profile, for every kind of viewer.

One table: a row is a call, a column is a viewer by their relationship to the account. A resource that the viewer may
not see must return the same 404, byte for byte, as one that does not exist, and its text must appear in no response.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from accounts import deletion, former_usernames
from accounts import services as accounts
from instafeed.devstack.state import PROJECT_ROOT
from posts import explore
from posts.models import Save
from social import services as social
from social.models import Notification
from social.notifications import consumer
from tests.db.feeds.feed_setup import deliver_all
from tests.support.api_user import ApiUser
from tests.support.client_response import ClientResponse
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db

VIEWERS = ("owner", "follower", "requester", "stranger", "blocked", "blocker", "anonymous", "suspended")
SECRET_WORD = "zebrafinch"
TAG = "lighthouse"


@dataclass(frozen=True)
class Call:
    """A call and its expected statuses. Placeholders in path and body are filled from `World.names`."""

    method: str
    path: str
    public: str  # the status for each of VIEWERS if the account is public
    private: str  # the same if the account is private
    body: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


# Reads of a post.
READ_STATUSES = "200 200 200 200 404 404 200 401", "200 200 404 404 404 404 404 401"
# Calls on a post or comment that require a token.
TOKEN_STATUSES = "200 200 200 200 404 404 401 401", "200 200 404 404 404 404 401 401"
CREATE_STATUSES = "201 201 201 201 404 404 401 401", "201 201 404 404 404 404 401 401"
OWNER_ONLY_STATUSES = "200 403 403 403 404 404 401 401", "200 403 404 404 404 404 401 401"
DELETE_STATUSES = "204 403 403 403 404 404 401 401", "204 403 404 404 404 404 401 401"
KNOWN_USER_STATUSES = "400 204 204 204 404 204 401 401"
NO_REQUEST_STATUSES = "404 404 404 404 404 404 401 401"  # the account sent no follow request
SAVED_STATUSES = "200 200 200 200 200 200 401 401"  # all viewers saved the post before some lost access to it
FORMER_NAME_STATUSES = ("308 308 308 308 404 308 308 401",) * 2
FORMER_NAME_LIST_STATUSES = ("308 308 308 308 404 308 401 401",) * 2
# The post mentions all viewers: what was written to them can be reported, and its author too, despite a block.
REPORT_MENTION_STATUSES = "201 201 201 201 201 201 401 401"
BLOCK_STATUSES = "400 204 204 204 204 204 401 401"
UNBLOCK_STATUSES = "204 204 204 204 204 204 401 401"
# Of what exists for its owner only.
OWN_READ_STATUSES = "200 404 404 404 404 404 401 401"
OWN_COMPLETE_STATUSES = "202 404 404 404 404 404 401 401"
OWN_DELETE_STATUSES = "204 404 404 404 404 404 401 401"

CALLS = [
    Call("get", "/users/{owner}", "200 200 200 200 404 200 200 401", "200 200 200 200 404 200 200 401"),
    Call("get", "/users/{owner}/posts", "200 200 200 200 404 200 200 401", "200 200 403 403 404 200 403 401"),
    Call("get", "/users/{owner}/followers", "200 200 200 200 404 200 401 401", "200 200 403 403 404 403 401 401"),
    Call("get", "/users/{owner}/following", "200 200 200 200 404 200 401 401", "200 200 403 403 404 403 401 401"),
    # A former username of the account: redirected exactly where the profile is visible.
    Call("get", "/users/{former}", *FORMER_NAME_STATUSES),
    Call("get", "/users/{former}/posts", *FORMER_NAME_STATUSES),
    Call("get", "/users/{former}/followers", *FORMER_NAME_LIST_STATUSES),
    Call("get", "/users/{former}/following", *FORMER_NAME_LIST_STATUSES),
    Call("get", "/posts/{post}", *READ_STATUSES),
    Call("patch", "/posts/{post}", *OWNER_ONLY_STATUSES, body={"caption": f"edited {SECRET_WORD}"}),
    Call("get", "/posts/{post}/likes", *TOKEN_STATUSES),
    Call("post", "/posts/{post}/like", *TOKEN_STATUSES),
    Call("delete", "/posts/{post}/like", *TOKEN_STATUSES),
    Call("post", "/posts/{post}/save", *TOKEN_STATUSES),
    Call("delete", "/posts/{post}/save", SAVED_STATUSES, SAVED_STATUSES),
    Call("get", "/posts/{post}/comments", *TOKEN_STATUSES),
    Call("post", "/posts/{post}/comments", *CREATE_STATUSES, body={"text": "well"}),
    Call("post", "/posts/{post}/comments", *CREATE_STATUSES, body={"text": "well", "reply_to": "{comment}"}),
    Call("post", "/comments/{comment}/like", *TOKEN_STATUSES),
    Call("delete", "/comments/{comment}/like", *TOKEN_STATUSES),
    Call("post", "/comments/{guest_comment}/like", *TOKEN_STATUSES),
    Call(
        "post",
        "/reports",
        REPORT_MENTION_STATUSES,
        REPORT_MENTION_STATUSES,
        body={"target_type": "post", "target_id": "{post}", "reason": "spam"},
    ),
    Call(
        "post",
        "/reports",
        *CREATE_STATUSES,
        body={"target_type": "comment", "target_id": "{comment}", "reason": "spam"},
    ),
    Call(
        "post",
        "/reports",
        REPORT_MENTION_STATUSES,
        REPORT_MENTION_STATUSES,
        body={"target_type": "user", "target_id": "{owner_id}", "reason": "spam"},
    ),
    Call("get", "/media/{media}", OWN_READ_STATUSES, OWN_READ_STATUSES),
    Call("patch", "/media/{media}", OWN_READ_STATUSES, OWN_READ_STATUSES, body={"alt_text": f"edited {SECRET_WORD}"}),
    Call("post", "/media/{media}/complete", OWN_COMPLETE_STATUSES, OWN_COMPLETE_STATUSES),
    # Destructive calls last: comments before their post, blocks at the end.
    Call("delete", "/media/{media}", OWN_DELETE_STATUSES, OWN_DELETE_STATUSES),
    Call("delete", "/notifications/{notification}", OWN_DELETE_STATUSES, OWN_DELETE_STATUSES),
    Call("delete", "/comments/{guest_comment}", *DELETE_STATUSES),
    Call("delete", "/comments/{comment}", *DELETE_STATUSES),
    Call("delete", "/posts/{post}", *DELETE_STATUSES),
    Call("delete", "/me/followers/{owner}", "204 204 204 204 404 204 401 401", "204 204 204 204 404 204 401 401"),
    Call("post", "/me/follow-requests/{owner}/accept", NO_REQUEST_STATUSES, NO_REQUEST_STATUSES),
    Call("post", "/me/follow-requests/{owner}/reject", NO_REQUEST_STATUSES, NO_REQUEST_STATUSES),
    Call("post", "/users/{owner}/follow", "400 200 200 200 404 409 401 401", "400 200 200 200 404 409 401 401"),
    Call("delete", "/users/{owner}/follow", "204 204 204 204 404 204 401 401", "204 204 204 204 404 204 401 401"),
    Call("post", "/users/{owner}/mute", KNOWN_USER_STATUSES, KNOWN_USER_STATUSES),
    Call("delete", "/users/{owner}/mute", "204 204 204 204 404 204 401 401", "204 204 204 204 404 204 401 401"),
    Call("post", "/users/{owner}/block", BLOCK_STATUSES, BLOCK_STATUSES),
    Call("delete", "/users/{owner}/block", UNBLOCK_STATUSES, UNBLOCK_STATUSES),
]
# Where viewers whom nothing of the account mentions get other statuses.
REPORT_USER_STATUSES = "201 201 201 201 404 201 401 401"
CALLS_WITHOUT_MENTION = [
    Call("post", "/reports", *CREATE_STATUSES, body={"target_type": "post", "target_id": "{post}", "reason": "spam"}),
    Call(
        "post",
        "/reports",
        REPORT_USER_STATUSES,
        REPORT_USER_STATUSES,
        body={"target_type": "user", "target_id": "{owner_id}", "reason": "spam"},
    ),
    Call("post", "/users/{owner}/block", KNOWN_USER_STATUSES, KNOWN_USER_STATUSES),
]
MISSING_NAMES = {
    "owner": "missing.user",
    "former": "missing.former",
    "owner_id": "999999999",
    "post": "382840948838629377",
    "comment": "382840948838629378",
    "guest_comment": "382840948838629379",
    "media": "382840948838629380",
    "notification": "4711471147114711",
}
# Viewers who made something that they can withdraw while the account is suspended.
WITHDRAWN_BY = {
    "delete /posts/{post}/save": ("follower", "requester", "stranger", "blocked", "blocker"),
    "delete /users/{owner}/follow": ("follower",),
    "delete /users/{owner}/block": ("blocker",),
}
# Lists, and the viewers who see the post in them while the account is public. The status is always 200 or 401.
LIST_VIEWERS = {
    f"/hashtags/{TAG}/posts": "owner follower requester stranger",
    "/explore": "owner follower requester stranger",
    "/feed": "owner follower",
    "/me/saved": "owner follower requester stranger",
    "/notifications": "owner follower requester stranger",
}
PUBLIC_ONLY_LISTS = ("/explore", f"/hashtags/{TAG}/posts")


@dataclass
class World:
    """An account with a post, comments on it by the account and by a guest, and all kinds of viewers."""

    viewers: dict[str, ApiUser | None]
    names: dict[str, str]
    client: Client

    def request(self, viewer: str, method: str, path: str, body: dict[str, str]) -> ClientResponse:
        caller = self.viewers[viewer]
        data = body or None
        if caller is not None:
            return caller.call(method, path, data)
        options = {"data": data, "content_type": "application/json"} if data else {}
        response: ClientResponse = getattr(self.client, method)(f"/api/v1{path}", **options)
        return response


def build_world(*, private: bool, mention: bool = True) -> World:
    """Create the world. Relationships come last: all viewers interact with the post before some lose access to it."""
    callers = {name: ApiUser(username=f"the.{name}") for name in VIEWERS if name != "anonymous"}
    owner, guest = callers["owner"], ApiUser(username="the.guest")
    former_usernames.record_rename(owner.id, "the.former", owner.username)
    for name in ("follower", "suspended"):
        callers[name].follow(owner)
    guest.follow(owner)
    mentions = " ".join(f"@{caller.username}" for caller in callers.values() if mention)
    post = owner.create_post(f"{SECRET_WORD} #{TAG} {mentions}")
    comment, guest_comment = (
        owner.create_comment(post, f"first {SECRET_WORD}"),
        guest.create_comment(post, f"guest {SECRET_WORD}"),
    )
    Save.objects.bulk_create([Save(user=caller.user, post_id=int(post)) for caller in callers.values()])
    deliver_all()
    consumer.consume_batches()
    if private:
        accounts.update_profile(owner.id, {"is_private": True})
    callers["requester"].follow(owner)
    if not private:
        social.unfollow(callers["requester"].id, owner.id)
    social.block(owner.id, callers["blocked"].id)
    social.block(callers["blocker"].id, owner.id)
    accounts.suspend(callers["suspended"].id)
    explore.compute_ranking()
    names = {
        "owner": owner.username,
        "former": "the.former",
        "owner_id": str(owner.id),
        "post": post,
        "comment": comment,
        "guest_comment": guest_comment,
        "media": str(ready_media(owner.user, alt_text=SECRET_WORD).pk),
        "notification": str(Notification.objects.filter(recipient_id=owner.id).latest("position").position),
    }
    return World({**callers, "anonymous": None}, names, Client())


@pytest.mark.parametrize("account", ["public", "private"])
@pytest.mark.parametrize("viewer", VIEWERS)
def test_every_call_for_every_viewer(viewer: str, account: str) -> None:
    world = build_world(private=account == "private")
    wrong = [
        *_find_wrong_lists(world, viewer, account),
        *_find_wrong_calls(world, viewer, CALLS, lambda call: getattr(call, account)),
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("account", ["public", "private"])
def test_calls_of_viewers_who_are_not_mentioned(account: str) -> None:
    world = build_world(private=account == "private", mention=False)
    wrong = [
        problem
        for viewer in VIEWERS
        for problem in _find_wrong_calls(world, viewer, CALLS_WITHOUT_MENTION, lambda call: getattr(call, account))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("account", ["public", "private"])
def test_relationship_is_listed_exactly_where_the_profile_is_visible(account: str) -> None:
    world = build_world(private=account == "private")
    owner_id = world.names["owner_id"]
    for viewer in VIEWERS:
        response = world.request(viewer, "get", f"/users/relationships?ids={owner_id}", {})
        if viewer in ("anonymous", "suspended"):
            assert response.status_code == 401, viewer
            continue
        is_visible = world.request(viewer, "get", f"/users/{world.names['owner']}", {}).status_code == 200
        assert [row["id"] for row in response.json()] == ([owner_id] if is_visible else []), viewer


@pytest.mark.parametrize("gone", ["suspended", "deleted"])
def test_content_of_suspended_and_deleted_accounts_is_a_404(gone: str) -> None:
    world = build_world(private=False)
    owner = world.viewers["owner"]
    assert owner is not None
    if gone == "suspended":
        accounts.suspend(owner.id)
    else:
        deletion.delete_account(owner.id)
    wrong = []
    for viewer in VIEWERS:
        denied = 401 if viewer in ("owner", "suspended") else 404
        for path in LIST_VIEWERS:
            response = world.request(viewer, "get", path, {})
            expected = denied if denied == 401 or viewer != "anonymous" else 401
            if response.status_code != (200 if expected == 404 else 401) or SECRET_WORD in response.content.decode():
                wrong.append(f"{viewer}: {path} {response.status_code} {response.content[:200]!r}")
        for call in CALLS:
            signed_out = viewer == "anonymous" and call.public.split()[VIEWERS.index("anonymous")] == "401"
            expected = 401 if signed_out else denied
            if gone == "suspended" and expected == 404 and viewer in WITHDRAWN_BY.get(str(call), ()):
                expected = int(call.public.split()[VIEWERS.index(viewer)])
            wrong += _find_wrong_response(world, viewer, call, expected)
    assert not wrong, "\n".join(wrong)


def _find_wrong_lists(world: World, viewer: str, account: str) -> Iterator[str]:
    for path, seen_by in LIST_VIEWERS.items():
        response = world.request(viewer, "get", path, {})
        signed_in = viewer not in ("anonymous", "suspended")
        if response.status_code != (200 if signed_in else 401):
            yield f"{viewer}: {path} returned {response.status_code}"
        hidden = account == "private" and (path in PUBLIC_ONLY_LISTS or viewer not in ("owner", "follower"))
        expected = viewer in seen_by.split() and not hidden
        if (SECRET_WORD in response.content.decode()) is not expected:
            yield f"{viewer}: {path} {'lacks' if expected else 'shows'} the post: {response.content[:300]!r}"


def _find_wrong_calls(
    world: World, viewer: str, calls: Sequence[Call], statuses: Callable[[Call], str]
) -> Iterator[str]:
    for call in calls:
        yield from _find_wrong_response(world, viewer, call, int(statuses(call).split()[VIEWERS.index(viewer)]))


def _find_wrong_response(world: World, viewer: str, call: Call, expected: int) -> Iterator[str]:
    path, body = _fill_in_names(call, world.names)
    response = world.request(viewer, call.method, path, body)
    if response.status_code != expected:
        yield f"{viewer}: {call} {body} is {response.status_code}, not {expected}: {response.content[:200]!r}"
    elif expected in (401, 403, 404) and SECRET_WORD in response.content.decode():
        yield f"{viewer}: {call} leaks the text: {response.content[:300]!r}"
    elif expected == 404:
        missing = world.request(viewer, call.method, *_fill_in_names(call, MISSING_NAMES))
        if (missing.status_code, missing.content) != (404, response.content):
            yield f"{viewer}: {call} differs from a missing resource: {response.content!r}, {missing.content!r}"


def _fill_in_names(call: Call, names: dict[str, str]) -> tuple[str, dict[str, str]]:
    return call.path.format(**names), {name: value.format(**names) for name, value in call.body.items()}


def test_every_operation_on_a_named_object_is_in_the_table() -> None:
    names = {
        "owner": "{username}",
        "former": "{username}",
        "post": "{post_id}",
        "comment": "{comment_id}",
        "guest_comment": "{comment_id}",
        "media": "{media_id}",
        "notification": "{notification_id}",
    }
    tested = {(call.method, "/api/v1" + call.path.format(**names)) for call in CALLS}
    paths: dict[str, dict[str, Any]] = json.loads((PROJECT_ROOT / "openapi.json").read_text())["paths"]
    operations = {
        (method, path)
        for path, item in paths.items()
        if any(name in path for name in names.values())
        for method in item
    }
    assert operations - tested == set(), "add a Call for each"


def test_every_call_has_a_status_for_every_viewer() -> None:
    for call in CALLS:
        assert len(call.public.split()) == len(call.private.split()) == len(VIEWERS), str(call)
