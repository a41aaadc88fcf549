"""Drive a site with the generated Python client: `PYTHONPATH=GENERATED python -m tests.clients.tour URL`.

Register, follow, post with a picture, read the feed, like, read the next page, refresh the tokens. The system tests run
it; `python -m tests.clients` checks its types. It uses nothing but the generated code.
"""

from __future__ import annotations

import sys
import time
from io import BytesIO
from typing import TypeVar

from instafeed_client import AuthenticatedClient, Client
from instafeed_client.api.feed import get_feed
from instafeed_client.api.me import get_me
from instafeed_client.api.media import upload_media
from instafeed_client.api.posts import create_post, get_post, like_post
from instafeed_client.api.sign_in import refresh_tokens, register
from instafeed_client.api.users import follow_user, get_user
from instafeed_client.models import (
    ApiError,
    FollowState,
    LikeState,
    Media,
    MediaUploadRequest,
    OwnProfile,
    Post,
    PostPage,
    PostRequest,
    Profile,
    RefreshRequest,
    RegistrationRequest,
    SignedInUser,
    Tokens,
)
from instafeed_client.types import File
from PIL import Image

from tests.support.eventually import eventually

ResultT = TypeVar("ResultT")
_WITHOUT_PROXY = {"trust_env": False}


def main(base_url: str) -> None:
    anonymous = Client(base_url, httpx_args=_WITHOUT_PROXY)
    suffix = str(time.time_ns() % 10**9)
    ada, ben = (_register(anonymous, f"{name}{suffix}") for name in ("ada", "ben"))
    as_ada, as_ben = (_signed_in(base_url, user.access) for user in (ada, ben))

    state = _expect(FollowState, follow_user.sync(ada.user.username, client=as_ben))
    assert state.state == "following"
    profile = _expect(Profile, get_user.sync(ada.user.username, client=as_ben))
    assert profile.relationship is not None
    assert profile.relationship.following
    assert _expect(Profile, get_user.sync(ada.user.username, client=as_ada)).relationship is None

    pictures = [_upload(as_ada, name) for name in ("one", "two")]
    older = _expect(Post, create_post.sync(client=as_ada, body=PostRequest(caption="Words only")))
    body = PostRequest(caption="The harbour tonight #sunset", media=[picture.id for picture in pictures])
    newer = _expect(Post, create_post.sync(client=as_ada, body=body, idempotency_key=f"tour-{suffix}"))
    assert [picture.id for picture in newer.media] == [picture.id for picture in pictures], (
        "in the order of the request"
    )

    eventually(lambda: [post.id for post in _feed(as_ben, limit=2).results] == [newer.id, older.id])
    page = _feed(as_ben, limit=1)
    assert [picture.alt_text for picture in page.results[0].media] == ["one", "two"]
    liked = _expect(LikeState, like_post.sync(newer.id, client=as_ben))
    assert (liked.liked, liked.like_count) == (True, 1)
    assert page.next_cursor is not None
    last = _expect(PostPage, get_feed.sync(client=as_ben, limit=1, cursor=page.next_cursor))
    assert ([post.id for post in last.results], last.next_, last.next_cursor) == ([older.id], None, None)

    tokens = _expect(Tokens, refresh_tokens.sync(client=anonymous, body=RefreshRequest(refresh=ben.refresh)))
    me = _expect(OwnProfile, get_me.sync(client=_signed_in(base_url, tokens.access)))
    assert me.username == ben.user.username
    missing = _expect(ApiError, get_post.sync("1", client=as_ben))
    assert [error.code for error in missing.errors] == ["not_found"]


def _register(client: Client, username: str) -> SignedInUser:
    body = RegistrationRequest(username=username, email=f"{username}@mail.example", password="a moth in relay 70")
    return _expect(SignedInUser, register.sync(client=client, body=body))


def _signed_in(base_url: str, token: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url, token=token, httpx_args=_WITHOUT_PROXY)


def _upload(client: AuthenticatedClient, alt_text: str) -> Media:
    content = BytesIO()
    Image.new("RGB", (60, 40), "teal").save(content, "JPEG")
    content.seek(0)
    file = File(payload=content, file_name="harbour.jpg", mime_type="image/jpeg")
    return _expect(Media, upload_media.sync(client=client, body=MediaUploadRequest(file=file, alt_text=alt_text)))


def _feed(client: AuthenticatedClient, limit: int) -> PostPage:
    return _expect(PostPage, get_feed.sync(client=client, limit=limit))


def _expect(kind: type[ResultT], result: object) -> ResultT:
    assert isinstance(result, kind), result
    return result


if __name__ == "__main__":
    main(sys.argv[1])
