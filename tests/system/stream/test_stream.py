"""Live updates through the complete stack: what streams announce, and when they end."""

from __future__ import annotations

import httpx
import psycopg
import pytest

from accounts.models import CelebrityState
from tests.support.event_stream import EventStream
from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD, HttpUser
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg

CELEBRITY_FOLLOWERS = 5  # CELEBRITY_THRESHOLD of the stack


def open_stream(stack: LiveStack, user: HttpUser, last_event_id: str | None = None) -> EventStream:
    return EventStream(stack.stream_url, user.headers, last_event_id=last_event_id).wait_until_begun()


def follow_and_see_a_post(reader: HttpUser, author: HttpUser) -> None:
    reader.follow(author)
    author.create_post("seen before the stream")
    eventually(lambda: len(reader.feed()) == 1)


def test_posts_of_followed_accounts_and_own_posts_reach_all_streams(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    follow_and_see_a_post(reader, author)
    with open_stream(live_stack, reader) as stream, open_stream(live_stack, reader) as other_tab:
        post_id = author.create_post()
        eventually(lambda: stream.posts == other_tab.posts == 1)
        assert stream.last_event_id == post_id
        reader.create_post()
        eventually(lambda: stream.posts == other_tab.posts == 2)
        assert stream.unread == 0


def test_posts_of_celebrities_are_announced(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    for _ in range(CELEBRITY_FOLLOWERS - 1):
        HttpUser(live_stack).follow(author)
    follow_and_see_a_post(reader, author)

    def is_celebrity() -> bool:
        with psycopg.connect(live_stack.environment["DATABASE_URL"]) as connection:
            row = connection.execute("SELECT celebrity_state FROM accounts_user WHERE id = %s", [author.id]).fetchone()
            return row == (CelebrityState.CELEBRITY,)

    eventually(is_celebrity)
    with open_stream(live_stack, reader) as stream:
        author.create_post()
        eventually(lambda: stream.posts == 1)


def test_a_post_is_announced_when_its_pictures_are_ready(live_stack: LiveStack) -> None:
    """It is delivered before, and newer posts may be announced first."""
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    follow_and_see_a_post(reader, author)
    with open_stream(live_stack, reader) as stream:
        upload = author.call("POST", "/media", files={"file": ("a.jpg", jpeg(1_500, 1_000), "image/jpeg")})
        assert upload.status_code == 202, upload.text
        post = author.call("POST", "/posts", json={"caption": "soon", "media": [upload.json()["id"]]})
        assert post.status_code == 201, post.text
        author.create_post("newer, and without a picture")
        eventually(lambda: stream.posts == 2)
        assert len(reader.feed()) == 3


def test_posts_that_the_feed_does_not_show_are_not_announced(live_stack: LiveStack) -> None:
    reader, shown = HttpUser(live_stack), HttpUser(live_stack)
    muted, blocked, stranger = (HttpUser(live_stack) for _ in range(3))
    for author in (shown, muted, blocked):
        reader.follow(author)
    assert reader.call("POST", f"/users/{muted.username}/mute").status_code == 204
    assert blocked.call("POST", f"/users/{reader.username}/block").status_code == 204
    with open_stream(live_stack, reader) as stream:
        for author in (muted, blocked, stranger):
            author.create_post()
        last = shown.create_post()
        eventually(lambda: stream.last_event_id == last)
        assert stream.posts == 1


def test_notifications_are_announced_with_the_number_of_unread_ones(live_stack: LiveStack) -> None:
    owner, first, second = (HttpUser(live_stack) for _ in range(3))
    post_id = owner.create_post()
    with open_stream(live_stack, owner) as stream:
        assert stream.unread == 0
        assert first.call("POST", f"/posts/{post_id}/like").status_code == 200
        eventually(lambda: stream.unread == 1)
        before = len(stream.events)
        assert second.call("POST", f"/posts/{post_id}/like").status_code == 200
        eventually(lambda: len(stream.events) == before + 1)
        assert stream.unread == 1, "the second like has joined the entry of the first"
        (entry,) = owner.get("/notifications")["results"]
        assert owner.call("POST", "/notifications/read", json={"up_to": entry["id"]}).status_code == 204
        eventually(lambda: stream.unread == 0)


def test_a_stream_resumes_after_the_last_event_of_the_one_before(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    with open_stream(live_stack, reader) as stream:
        author.create_post()
        eventually(lambda: stream.posts == 1)
    missed = [author.create_post() for _ in range(3)]
    eventually(lambda: len(reader.feed()) == 4)
    with open_stream(live_stack, reader, stream.last_event_id) as resumed:
        eventually(lambda: resumed.posts == 3)
        assert resumed.last_event_id == missed[-1]
        author.create_post()
        eventually(lambda: resumed.posts == 4)


def test_requests_that_open_no_stream_get_the_errors_of_the_api(live_stack: LiveStack) -> None:
    user = HttpUser(live_stack)

    def error(method: str, url: str, headers: dict[str, str]) -> tuple[int, str]:
        response = httpx.request(method, url, headers=headers, trust_env=False, timeout=30)
        assert response.headers["X-Request-ID"]
        return response.status_code, response.json()["errors"][0]["code"]

    assert error("GET", live_stack.stream_url, {}) == (401, "not_authenticated")
    assert error("GET", live_stack.stream_url, {"Authorization": "Bearer wrong"}) == (401, "token_not_valid")
    odd = {"Content-Type": "text/plain; charset*=hex''a", "X-Request-ID": "not sane"}
    assert error("GET", f"{live_stack.stream_url}?x=%ff", odd) == (401, "not_authenticated")
    assert error("POST", live_stack.stream_url, user.headers) == (405, "method_not_allowed")
    assert error("GET", live_stack.stream_url.replace("stream", "feed"), user.headers) == (404, "not_found")
    assert error("GET", f"{live_stack.base_url}/api/v1/stream", user.headers) == (421, "misdirected_request")
    assert live_stack.get("/api/v1/instance").json()["stream_url"] == live_stack.stream_url


def test_pages_of_the_site_may_open_streams(live_stack: LiveStack) -> None:
    headers = {
        "Origin": live_stack.base_url,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,last-event-id",
    }
    response = httpx.options(live_stack.stream_url, headers=headers, trust_env=False, timeout=30)
    assert response.headers["Access-Control-Allow-Origin"] == live_stack.base_url
    assert "last-event-id" in response.headers["Access-Control-Allow-Headers"]


def test_a_user_has_a_limited_number_of_streams(live_stack: LiveStack) -> None:
    user, other = HttpUser(live_stack), HttpUser(live_stack)
    streams = [EventStream(live_stack.stream_url, user.headers) for _ in range(10)]
    refused = httpx.get(live_stack.stream_url, headers=user.headers, trust_env=False, timeout=30)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    with EventStream(live_stack.stream_url, other.headers):
        pass
    for stream in streams:
        stream.__exit__(None, None, None)

    def is_accepted() -> bool:
        with httpx.stream("GET", live_stack.stream_url, headers=user.headers, trust_env=False, timeout=30) as response:
            return response.status_code == 200

    eventually(is_accepted)


@pytest.mark.restarts_a_program
def test_streams_end_when_their_session_does(live_stack: LiveStack) -> None:
    user = HttpUser(live_stack)
    signed_in = live_stack.post("/api/v1/auth/token", json={"username": user.username, "password": PASSWORD}).json()
    other_session = {"Authorization": f"Bearer {signed_in['access']}"}
    with (
        live_stack.restarted("stream", STREAM_CHECK_SECONDS="1"),
        open_stream(live_stack, user) as kept,
        EventStream(live_stack.stream_url, other_session) as ended,
    ):
        ended.wait_until_begun()
        assert live_stack.post("/api/v1/auth/logout", json={"refresh": signed_in["refresh"]}).status_code == 204
        eventually(lambda: ended.has_ended)
        assert not kept.has_ended
        live_stack.manage("suspend_user", user.username, "--reason", "a test")
        eventually(lambda: kept.has_ended)


@pytest.mark.restarts_a_program
def test_what_no_hint_was_published_for_is_found_by_the_next_check(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    assert reader.call("POST", f"/users/{author.username}/mute").status_code == 204
    author.create_post()
    with live_stack.restarted("stream", STREAM_CHECK_SECONDS="1"), open_stream(live_stack, reader) as stream:
        assert reader.call("DELETE", f"/users/{author.username}/mute").status_code == 204
        eventually(lambda: stream.posts == 1)
        author.follow(reader)
        eventually(lambda: stream.unread == 1)
        (entry,) = reader.get("/notifications")["results"]
        assert reader.call("DELETE", f"/notifications/{entry['id']}").status_code == 204
        eventually(lambda: stream.unread == 0)


@pytest.mark.restarts_a_program
def test_the_end_of_the_process_ends_all_streams_at_once(live_stack: LiveStack) -> None:
    user, log = HttpUser(live_stack), live_stack.log("stream")
    with open_stream(live_stack, user) as stream:
        before = log.stat().st_size  # a service that other tests froze may have caused exceptions
        with live_stack.restarted("stream"):
            eventually(lambda: stream.has_ended)
        assert b"exception" not in log.read_bytes()[before:]


@pytest.mark.kills_a_part
def test_streams_survive_a_crash_of_redis_and_miss_nothing(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    follow_and_see_a_post(reader, author)
    with open_stream(live_stack, reader) as stream:
        live_stack.kill("cache")
        author.create_post("while Redis is down")
        eventually(lambda: live_stack.is_running("cache"))
        eventually(lambda: stream.posts == 1)
        author.create_post("afterwards")
        eventually(lambda: stream.posts == 2)
        assert not stream.has_ended


@pytest.mark.kills_a_part
def test_streams_survive_a_frozen_redis_and_miss_nothing(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    follow_and_see_a_post(reader, author)
    with open_stream(live_stack, reader) as stream:
        with live_stack.paused("cache"):
            warnings = live_stack.log("stream").read_text().count("no hints until Redis answers")
            author.create_post("while Redis hangs")
            eventually(lambda: live_stack.log("stream").read_text().count("no hints until Redis answers") > warnings)
        eventually(lambda: stream.posts == 1)
        assert not stream.has_ended
