"""The status code of each call, by the viewer's relation to a public or private account."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import User
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, UserFactory
from tests.support.follow_graph import API, signed_in_client

pytestmark = pytest.mark.django_db

CALLS = {
    "profile": ("GET", "/users/them"),
    "follow": ("POST", "/users/them/follow"),
    "unfollow": ("DELETE", "/users/them/follow"),
    "followers": ("GET", "/users/them/followers"),
    "following": ("GET", "/users/them/following"),
    "block": ("POST", "/users/them/block"),
    "unblock": ("DELETE", "/users/them/block"),
    "mute": ("POST", "/users/them/mute"),
    "unmute": ("DELETE", "/users/them/mute"),
    "remove": ("DELETE", "/me/followers/them"),
    "accept": ("POST", "/me/follow-requests/them/accept"),
    "reject": ("POST", "/me/follow-requests/them/reject"),
}
# A public account has no requesters. "blocked" is blocked by the account, "blocker" blocks it.
TABLE = """
           owner follower requester stranger blocked blocker anonymous suspended
public
profile    200   200      -         200      404     200     200       401
follow     400   200      -         200      404     409     401       401
unfollow   204   204      -         204      404     204     401       401
followers  200   200      -         200      404     200     401       401
following  200   200      -         200      404     200     401       401
block      400   204      -         204      404     204     401       401
unblock    204   204      -         204      404     204     401       401
mute       400   204      -         204      404     204     401       401
unmute     204   204      -         204      404     204     401       401
remove     204   204      -         204      404     204     401       401
accept     404   404      -         404      404     404     401       401
reject     404   404      -         404      404     404     401       401
private
profile    200   200      200       200      404     200     200       401
follow     400   200      200       200      404     409     401       401
unfollow   204   204      204       204      404     204     401       401
followers  200   200      403       403      404     403     401       401
following  200   200      403       403      404     403     401       401
block      400   204      204       204      404     204     401       401
unblock    204   204      204       204      404     204     401       401
mute       400   204      204       204      404     204     401       401
unmute     204   204      204       204      404     204     401       401
remove     204   204      204       204      404     204     401       401
accept     404   404      404       404      404     404     401       401
reject     404   404      404       404      404     404     401       401
"""


def cases() -> list[tuple[bool, str, str, int]]:
    """Parse the table into (private, call, viewer, status)."""
    lines = [line.split() for line in TABLE.strip().splitlines()]
    viewers, found, private = lines[0], [], False
    for first, *statuses in lines[1:]:
        if not statuses:
            private = first == "private"
        for viewer, status in zip(viewers, statuses, strict=bool(statuses)):
            if status != "-":
                found.append((private, first, viewer, int(status)))
    return found


def client_of(viewer: str, them: User) -> APIClient:
    match viewer:
        case "owner":
            return signed_in_client(them)
        case "follower":
            return signed_in_client(FollowFactory(followee=them).follower)
        case "requester":
            return signed_in_client(FollowRequestFactory(followee=them).follower)
        case "stranger":
            return signed_in_client(UserFactory())
        case "blocked":
            return signed_in_client(BlockFactory(blocker=them).blocked)
        case "blocker":
            return signed_in_client(BlockFactory(blocked=them).blocker)
        case "anonymous":
            return APIClient()
        case "suspended":
            viewer_user = UserFactory()
            client = signed_in_client(viewer_user)
            accounts.suspend(viewer_user.pk)
            return client
    raise AssertionError(viewer)


@pytest.mark.parametrize(("private", "call", "viewer", "status"), cases())
def test_status(private: bool, call: str, viewer: str, status: int) -> None:
    them = UserFactory(username="them", is_private=private)
    client = client_of(viewer, them)
    method, path = CALLS[call]
    response = client.generic(method, API + path)
    assert response.status_code == status, response.content
    again = client.generic(method, API + path)
    assert (again.status_code, again.content) == (status, response.content), "not idempotent"
    if status == 204:
        assert response.content == b""
    if status >= 400:
        assert set(response.json()) == {"type", "errors"}


@pytest.mark.parametrize("call", CALLS)
def test_suspended_blocking_and_unknown_users_get_the_same_404(call: str) -> None:
    viewer = UserFactory()
    client = signed_in_client(viewer)
    method, path = CALLS[call]
    unknown = client.generic(method, API + path)
    UserFactory(username="gone", is_active=False)
    BlockFactory(blocker=UserFactory(username="blocker"), blocked=viewer)
    for name in ("gone", "blocker", "a%00b", "x" * 300, "%F0%9F%90%98"):
        response = client.generic(method, API + path.replace("them", name))
        assert response.status_code == unknown.status_code == 404
        assert response.content == unknown.content


@pytest.mark.parametrize("call", CALLS)
def test_usernames_in_paths_are_case_insensitive(call: str) -> None:
    UserFactory(username="them")
    method, path = CALLS[call]
    client = signed_in_client(UserFactory())
    responses = [client.generic(method, API + path.replace("them", name)) for name in ("them", "ThEm")]
    assert responses[0].status_code == responses[1].status_code
    assert call in ("accept", "reject") or responses[0].status_code < 300


@pytest.mark.parametrize(("action", "follows"), [("accept", True), ("reject", False)])
def test_request_is_answered_once(action: str, follows: bool) -> None:
    request = FollowRequestFactory()
    client = signed_in_client(request.followee)
    path = f"{API}/me/follow-requests/{request.follower.username}/{action}"
    assert client.post(path).status_code == 204
    assert client.post(path).status_code == 404
    profile = client.get(f"{API}/users/{request.follower.username}").json()
    assert profile["relationship"]["followed_by"] is follows


def test_follow_returns_its_state() -> None:
    client = signed_in_client(UserFactory())
    UserFactory(username="open")
    UserFactory(username="shut", is_private=True)
    for _ in range(2):
        assert client.post(f"{API}/users/open/follow").json() == {"state": "following"}
        assert client.post(f"{API}/users/shut/follow").json() == {"state": "requested"}


@pytest.mark.parametrize("body", ["{", "[]", '{"state": "following"}'])
def test_request_body_is_ignored(body: str) -> None:
    UserFactory(username="them")
    client = signed_in_client(UserFactory())
    response = client.generic("POST", f"{API}/users/them/follow", body, content_type="application/json")
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/users/them/followers", "/me/blocks"])
def test_other_methods_get_405_in_the_standard_format(path: str) -> None:
    UserFactory(username="them")
    response = signed_in_client(UserFactory()).put(API + path)
    assert response.status_code == 405
    assert response.json()["errors"][0]["code"] == "method_not_allowed"
