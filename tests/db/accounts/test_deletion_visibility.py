"""A deleted account is invisible to others until it is erased."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import deletion, erasure_worker
from accounts.authentication import TokenAuthentication
from accounts.models import User
from posts.tasks import rank_explore
from social import services as social
from social.notifications.consumer import consume_batches
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error

pytestmark = pytest.mark.django_db

LEAVER_USERNAME = "leaver.of.many.places"
LIST_PATHS = [
    *(
        "/feed",
        "/explore",
        "/hashtags/leavetaking/posts",
        "/hashtags?search=leavetak",
        f"/users?search={LEAVER_USERNAME[:6]}",
    ),
    *("/notifications", "/me/follow-requests", "/me/blocks", "/me/mutes", "/me/saved"),
    *("/users/{friend}/followers", "/users/{friend}/following", "/posts/{theirs}/likes", "/posts/{theirs}/comments"),
]
MISSING_PATHS = [
    *(
        ("get", f"/users/{LEAVER_USERNAME}"),
        ("get", f"/users/{LEAVER_USERNAME}/posts"),
        ("get", f"/users/{LEAVER_USERNAME}/followers"),
    ),
    *(
        ("post", f"/users/{LEAVER_USERNAME}/follow"),
        ("post", f"/users/{LEAVER_USERNAME}/mute"),
        ("post", f"/users/{LEAVER_USERNAME}/block"),
    ),
    *(("delete", f"/me/followers/{LEAVER_USERNAME}"), ("post", f"/me/follow-requests/{LEAVER_USERNAME}/accept")),
    *(("get", "/posts/{own}"), ("get", "/posts/{own}/likes"), ("get", "/posts/{own}/comments")),
    *(("post", "/posts/{own}/like"), ("post", "/posts/{own}/save")),
    *(("post", "/comments/{comment}/like"), ("delete", "/comments/{comment}")),
]


@pytest.fixture
def friend() -> ApiUser:
    return ApiUser(is_private=True)


@pytest.fixture
def leaver() -> ApiUser:
    return ApiUser(username=LEAVER_USERNAME)


@pytest.fixture
def ids(friend: ApiUser, leaver: ApiUser) -> dict[str, str]:
    """Create content that shows the leaver in every list, and return the ids for the paths."""
    friend.follow(leaver)
    leaver.follow(friend)
    social.accept_request(friend.id, leaver.id)
    theirs, own = friend.create_post("mine"), leaver.create_post("see you #leavetaking")
    comment = leaver.create_comment(theirs, f"bye @{friend.username}")
    leaver.like(theirs)
    friend.call("post", f"/posts/{own}/save")
    social.mute(friend.id, leaver.id)
    social.unmute(friend.id, leaver.id)
    while consume_batches():
        pass
    rank_explore()
    return {"friend": friend.username, "theirs": theirs, "own": own, "comment": comment}


def shows(response: Any, leaver: ApiUser) -> bool:
    """Return whether a response shows the leaver or their content. An "@name" in others' texts does not count."""
    text = response.content.decode()
    return bool(re.search(rf'"id":"{leaver.id}"|(?<!@){re.escape(LEAVER_USERNAME)}|leavetaking', text))


def test_deleted_account_is_in_no_list(friend: ApiUser, leaver: ApiUser, ids: dict[str, str]) -> None:
    asking, blocked, muted = ApiUser(), ApiUser(), ApiUser()
    requested = ApiUser(is_private=True)
    leaver.follow(requested)
    social.block(blocked.id, leaver.id)
    social.mute(muted.id, leaver.id)
    viewers = {"/me/follow-requests": requested, "/me/blocks": blocked, "/me/mutes": muted}
    paths = {path: viewers.get(path, friend) for path in LIST_PATHS}
    not_shown = [path for path, viewer in paths.items() if not shows(viewer.call("get", path.format(**ids)), leaver)]
    assert not_shown == []
    assert asking.get("/explore")["results"]
    deletion.delete_account(leaver.id)
    for path, viewer in paths.items():
        response = viewer.call("get", path.format(**ids))
        assert response.status_code == 200, path
        assert not shows(response, leaver), path
    assert friend.get("/notifications/unread-count") == {"count": 0}
    assert friend.get("/feed/unread-count?since=1")["count"] == 1, "only the viewer's own post"


def test_deleted_account_is_404_everywhere(friend: ApiUser, leaver: ApiUser, ids: dict[str, str]) -> None:
    deletion.delete_account(leaver.id)
    unknown = friend.call("get", "/users/no.such.user")
    for method, path in MISSING_PATHS:
        response = friend.call(method, path.format(**ids))
        assert (response.status_code, response.content) == (404, unknown.content), path
    response = friend.call("post", f"/posts/{ids['own']}/comments", {"text": "come back"})
    assert response.status_code == 404
    response = friend.call("post", f"/posts/{ids['theirs']}/comments", {"text": "no", "reply_to": ids["comment"]})
    assert response.status_code in (400, 404)
    report = {"target_type": "user", "target_id": str(leaver.id), "reason": "spam", "note": ""}
    assert friend.call("post", "/reports", report).status_code == 404


IN_FLIGHT_REQUESTS = [
    *(("get", "/me"), ("get", "/me/export"), ("get", "/feed"), ("get", "/notifications"), ("get", "/me/saved")),
    *(("patch", "/me"), ("delete", "/me"), ("post", "/auth/password"), ("post", "/notifications/read")),
    *(("post", "/posts"), ("patch", "/posts/{own}"), ("delete", "/posts/{own}"), ("get", "/posts/{own}")),
    *(("post", "/posts/{theirs}/like"), ("delete", "/posts/{theirs}/like"), ("post", "/posts/{theirs}/save")),
    *(("post", "/posts/{theirs}/comments"), ("post", "/comments/{comment}/like"), ("delete", "/comments/{comment}")),
    *(("post", "/users/{friend}/follow"), ("delete", "/users/{friend}/follow"), ("post", "/users/{friend}/block")),
    ("post", "/reports"),
]
REQUEST_BODIES = {
    "bio": "here",
    "caption": "here",
    "text": "here",
    "up_to": "1",
    "password": "wrong",
    "current_password": "wrong",
    "new_password": "still here, still here",
    "target_type": "post",
    "reason": "spam",
    "note": "",
}


@pytest.mark.parametrize("erased", [False, True], ids=["deleted", "erased"])
def test_in_flight_request_of_deleted_account_gets_no_5xx(
    friend: ApiUser, monkeypatch: pytest.MonkeyPatch, erased: bool
) -> None:
    """Delete the account right after the token check. The erasure may even finish before the request."""
    monkeypatch.setattr(erasure_worker, "IN_FLIGHT_WRITES_TIMEOUT", timedelta(0))
    authenticate = TokenAuthentication.authenticate

    def authenticate_then_delete(self: TokenAuthentication, request: Any) -> Any:
        found = authenticate(self, request)
        assert found is not None
        deletion.delete_account(found[0].pk)
        while erased and User.objects.filter(pk=found[0].pk).exists():
            erasure_worker.process_next()
        return found

    theirs = friend.create_post("mine")
    for method, path in IN_FLIGHT_REQUESTS:
        leaver = ApiUser(Client(raise_request_exception=False))
        leaver.follow(friend)
        social.accept_request(friend.id, leaver.id)
        ids = {"theirs": theirs, "own": leaver.create_post("hello"), "comment": leaver.create_comment(theirs)}
        body = None if method == "get" else REQUEST_BODIES | {"target_id": theirs}
        with monkeypatch.context() as patch:
            patch.setattr(TokenAuthentication, "authenticate", authenticate_then_delete)
            response = leaver.call(method, path.format(**ids, friend=friend.username), body)
        assert response.status_code < 500, (method, path, response.content)
        if response.status_code >= 400:
            assert_error(response, response.status_code)
