"""Profiles, relations and lists of people over HTTP: translation only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.api.schema import list_parameters, page_of, refusal
from social import lists, services
from social.api.base import NO_CONTENT, RelationView, people_page
from social.api.serializers import FollowStateSerializer, PersonSerializer, SeenProfileSerializer
from social.visibility import visible_user_and_relationship

_ViewT = TypeVar("_ViewT", bound=type[APIView])
_USERS, _ME = ["users"], ["me"]
_PAGE = page_of(PersonSerializer)
_DONE = {204: None}
_OWN = refusal(400, "own_account", "This is your own account.", attr="username")
_BLOCKING = refusal(409, "blocking", "You block this account: unblock it first.")
_PRIVATE = refusal(
    403, "permission_denied", "It is private, and you do not follow it.", detail="This account is private."
)


def _list(operation_id: str, people_list: lists.PeopleList) -> Callable[[_ViewT], _ViewT]:
    """Describes a view whose `get` is inherited."""
    parameters = list_parameters(people_list.kind)
    return extend_schema_view(get=extend_schema(operation_id=operation_id, parameters=parameters))


class ProfileView(APIView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @extend_schema(operation_id="get_user", responses=SeenProfileSerializer, tags=_USERS)
    def get(self, request: Request, username: str) -> Response:
        """A profile, readable without signing in, also that of a private account."""
        user, relation = visible_user_and_relationship(request.user.pk, username)
        return Response(SeenProfileSerializer(user, context={"relationship": relation}).data)


class FollowView(RelationView):
    @extend_schema(
        operation_id="follow_user",
        request=None,
        responses={200: FollowStateSerializer, **_OWN, **_BLOCKING},
        tags=_USERS,
    )
    def post(self, request: Request, username: str) -> Response:
        """Follow, or ask to follow a private account; 409 while you block them."""
        return Response({"state": services.follow(*self.pair(request, username))})

    @extend_schema(operation_id="unfollow_user", responses=_DONE, tags=_USERS)
    def delete(self, request: Request, username: str) -> Response:
        """Unfollow, or withdraw the request."""
        services.unfollow(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class BlockView(RelationView):
    @extend_schema(operation_id="block_user", request=None, responses={**_DONE, **_OWN}, tags=_USERS)
    def post(self, request: Request, username: str) -> Response:
        """Block: follows and requests end both ways, and you no longer exist for them."""
        services.block(*self.pair(request, username))
        return Response(status=NO_CONTENT)

    @extend_schema(operation_id="unblock_user", responses=_DONE, tags=_USERS)
    def delete(self, request: Request, username: str) -> Response:
        """Lift the block; follows do not come back by themselves."""
        services.unblock(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class MuteView(RelationView):
    @extend_schema(operation_id="mute_user", request=None, responses={**_DONE, **_OWN}, tags=_USERS)
    def post(self, request: Request, username: str) -> Response:
        """Mute: their posts leave your feed; they are not told."""
        services.mute(*self.pair(request, username))
        return Response(status=NO_CONTENT)

    @extend_schema(operation_id="unmute_user", responses=_DONE, tags=_USERS)
    def delete(self, request: Request, username: str) -> Response:
        """Unmute."""
        services.unmute(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class MyFollowerView(RelationView):
    @extend_schema(operation_id="remove_follower", responses=_DONE, tags=_ME)
    def delete(self, request: Request, username: str) -> Response:
        """Remove a follower."""
        services.remove_follower(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class AcceptView(RelationView):
    @extend_schema(operation_id="accept_follow_request", request=None, responses=_DONE, tags=_ME)
    def post(self, request: Request, username: str) -> Response:
        """Let a requester follow; 404 if they do not ask."""
        services.accept_request(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class RejectView(RelationView):
    @extend_schema(operation_id="reject_follow_request", request=None, responses=_DONE, tags=_ME)
    def post(self, request: Request, username: str) -> Response:
        """Turn a requester down, who is not told; 404 if they do not ask."""
        services.reject_request(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class UserListView(APIView):
    """A list of another's; 403 if the account is private and you do not follow it."""

    people_list = lists.FOLLOWERS

    @extend_schema(responses={200: _PAGE, **_PRIVATE}, tags=_USERS)
    def get(self, request: Request, username: str) -> HttpResponse:
        user, relation = visible_user_and_relationship(current_user(request).pk, username)
        if user.is_private and relation is not None and not relation.following:
            raise PermissionDenied("This account is private.")
        return people_page(request, self.people_list, user.pk)


@_list("list_followers", lists.FOLLOWERS)
class FollowersView(UserListView):
    """Who follows a user; 403 if the account is private and you do not follow it."""


@_list("list_following", lists.FOLLOWING)
class FollowingView(UserListView):
    """Whom a user follows; 403 if the account is private and you do not follow it."""

    people_list = lists.FOLLOWING


class MyListView(APIView):
    """A list of one's own."""

    people_list = lists.FOLLOW_REQUESTS

    @extend_schema(responses=_PAGE, tags=_ME)
    def get(self, request: Request) -> HttpResponse:
        return people_page(request, self.people_list, current_user(request).pk)


@_list("list_follow_requests", lists.FOLLOW_REQUESTS)
class FollowRequestsView(MyListView):
    """Who asks to follow you."""


@_list("list_blocks", lists.BLOCKS)
class BlocksView(MyListView):
    """Whom you block."""

    people_list = lists.BLOCKS


@_list("list_mutes", lists.MUTES)
class MutesView(MyListView):
    """Whom you muted."""

    people_list = lists.MUTES
