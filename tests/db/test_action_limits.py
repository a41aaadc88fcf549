"""Each kind of action has a limit of its own, which leaves reads and taking back alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings

from instafeed.core.api import throttling
from tests.support.api_user import ApiUser
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db

LIMIT = 2

Action = Callable[[ApiUser], ClientResponse]


def follow_someone(user: ApiUser) -> ClientResponse:
    return user.call("post", f"/users/{UserFactory().username}/follow")


def block_someone(user: ApiUser) -> ClientResponse:
    return user.call("post", f"/users/{UserFactory().username}/block")


def mute_someone(user: ApiUser) -> ClientResponse:
    return user.call("post", f"/users/{UserFactory().username}/mute")


def report_someone(user: ApiUser) -> ClientResponse:
    report = {"target_type": "user", "target_id": str(UserFactory().pk), "reason": "spam"}
    return user.call("post", "/reports", report)


def set_avatar(user: ApiUser) -> ClientResponse:
    return user.call("patch", "/me", {"avatar": str(ready_media(user.user).pk)})


def turn_private_and_public(user: ApiUser) -> ClientResponse:
    assert user.call("patch", "/me", {"is_private": True}).status_code == 200, "turning private is never refused"
    return user.call("patch", "/me", {"is_private": False})


def edit_post(user: ApiUser) -> ClientResponse:
    post = user.get(f"/users/{user.username}/posts")["results"][0]
    return user.call("patch", f"/posts/{post['id']}", {"caption": "edited"})


def edit_alt_text(user: ApiUser) -> ClientResponse:
    return user.call("patch", f"/media/{ready_media(user.user).pk}", {"alt_text": "a harbour"})


def comment(user: ApiUser) -> ClientResponse:
    post = user.get(f"/users/{user.username}/posts")["results"][0]
    return user.call("post", f"/posts/{post['id']}/comments", {"text": "nice"})


ACTIONS: list[tuple[str, Action]] = [
    ("post", lambda user: user.call("post", "/posts", {"caption": "hello"})),
    ("post", edit_post),
    ("post", edit_alt_text),
    ("comment", comment),
    ("follow", follow_someone),
    ("block", block_someone),
    ("block", mute_someone),
    ("report", report_someone),
    ("profile", lambda user: user.call("patch", "/me", {"bio": "x"})),
    ("privacy", turn_private_and_public),
    ("avatar", set_avatar),
]


@pytest.mark.parametrize(("scope", "act"), ACTIONS)
def test_an_action_is_limited_per_user(scope: str, act: Action, settings: Settings) -> None:
    user, other = ApiUser(), ApiUser()
    user.create_post()
    other.create_post()
    settings.THROTTLES = settings.THROTTLES | {scope: f"{LIMIT}/hour"}
    assert [act(user).status_code < 400 for _ in range(LIMIT)] == [True] * LIMIT
    refused = act(user)
    assert_error(refused, 429, "throttled")
    assert 0 < int(refused["Retry-After"]) <= 3_600
    assert act(other).status_code < 400


def test_response_tells_the_limit_that_is_closest_to_being_reached(settings: Settings) -> None:
    user = ApiUser()
    settings.THROTTLES = settings.THROTTLES | {"user": "100/hour", "report": "2/hour"}
    assert user.call("get", "/me")["RateLimit-Limit"] == "100"
    reported = report_someone(user)
    assert (reported["RateLimit-Limit"], reported["RateLimit-Remaining"]) == ("2", "1")


def test_reads_and_taking_back_are_unlimited(settings: Settings) -> None:
    user, other = ApiUser(), ApiUser()
    post_id = user.create_post()
    comment_id = user.create_comment(post_id)
    user.follow(other)
    scopes = ("post", "comment", "follow", "block", "profile", "avatar")
    settings.THROTTLES = settings.THROTTLES | dict.fromkeys(scopes, "1/day")
    calls = [
        *[("get", f"/posts/{post_id}/comments"), ("get", f"/posts/{post_id}"), ("get", "/me")] * 2,
        *[("delete", f"/users/{other.username}/{relation}") for relation in ("follow", "block", "mute")] * 2,
        *[("delete", f"/comments/{comment_id}"), ("delete", f"/posts/{post_id}")],
    ]
    responses = [user.call(method, path) for method, path in calls]
    assert {response.status_code for response in responses} == {200, 204}
    assert "RateLimit-Limit" not in responses[0].headers


def test_removing_the_avatar_is_unlimited(settings: Settings) -> None:
    user = ApiUser()
    settings.THROTTLES = settings.THROTTLES | {"avatar": "1/day"}
    assert set_avatar(user).status_code == 200
    assert [user.call("patch", "/me", {"avatar": None}).status_code for _ in range(3)] == [200] * 3


def test_repeating_the_present_privacy_is_unlimited(settings: Settings) -> None:
    user = ApiUser()
    settings.THROTTLES = settings.THROTTLES | {"privacy": "1/day"}
    assert [user.call("patch", "/me", {"is_private": False}).status_code for _ in range(3)] == [200] * 3


def test_the_counters_of_every_action_are_erased_with_the_account(settings: Settings) -> None:
    settings.THROTTLES = dict.fromkeys(settings.THROTTLES, "9/hour")
    keys = throttling.counter_keys(42)
    for scope, _ in ACTIONS:
        assert [key for key in keys if f":{scope}:42:" in key], scope
