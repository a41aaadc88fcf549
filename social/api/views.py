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
from instafeed.core.api.openapi.components import error_response, list_parameters, page_serializer
from social import services, user_lists
from social.api.base import NO_CONTENT, RelationView, user_list_response
from social.api.serializers import FollowStateSerializer, PersonSerializer, SeenProfileSerializer
from social.visibility import get_visible_user_and_relationship

_ViewT = TypeVar("_ViewT", bound=type[APIView])
_USERS_TAG, _ME_TAG = ["users"], ["me"]
_PAGE_OF_USERS = page_serializer(PersonSerializer)
_NO_CONTENT_RESPONSE = {204: None}
_OWN_ACCOUNT_RESPONSE = error_response(400, "own_account", "This is your own account.", attr="username")
_BLOCKING_RESPONSE = error_response(409, "blocking", "You block this account: unblock it first.")
_PRIVATE_RESPONSE = error_response(
    403, "permission_denied", "It is private, and you do not follow it.", detail="This account is private."
)


def _document_list(operation_id: str, people_list: user_lists.UserList) -> Callable[[_ViewT], _ViewT]:
    """Describes a view whose `get` is inherited."""
    parameters = list_parameters(people_list.kind)
    return extend_schema_view(get=extend_schema(operation_id=operation_id, parameters=parameters))


class ProfileView(APIView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @extend_schema(operation_id="get_user", responses=SeenProfileSerializer, tags=_USERS_TAG)
    def get(self, request: Request, username: str) -> Response:
        """A profile, readable without signing in, also that of a private account."""
        user, relation = get_visible_user_and_relationship(request.user.pk, username)
        return Response(SeenProfileSerializer(user, context={"relationship": relation}).data)


class FollowView(RelationView):
    @extend_schema(
        operation_id="follow_user",
        request=None,
        responses={200: FollowStateSerializer, **_OWN_ACCOUNT_RESPONSE, **_BLOCKING_RESPONSE},
        tags=_USERS_TAG,
    )
    def post(self, request: Request, username: str) -> Response:
        """Follow, or ask to follow a private account; 409 while you block them."""
        return Response({"state": services.follow(*self.pair(request, username))})

    @extend_schema(operation_id="unfollow_user", responses=_NO_CONTENT_RESPONSE, tags=_USERS_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Unfollow, or withdraw the request."""
        services.unfollow(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class BlockView(RelationView):
    @extend_schema(
        operation_id="block_user",
        request=None,
        responses={**_NO_CONTENT_RESPONSE, **_OWN_ACCOUNT_RESPONSE},
        tags=_USERS_TAG,
    )
    def post(self, request: Request, username: str) -> Response:
        """Block: follows and requests end both ways, and you no longer exist for them."""
        services.block(*self.pair(request, username))
        return Response(status=NO_CONTENT)

    @extend_schema(operation_id="unblock_user", responses=_NO_CONTENT_RESPONSE, tags=_USERS_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Lift the block; follows do not come back by themselves."""
        services.unblock(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class MuteView(RelationView):
    @extend_schema(
        operation_id="mute_user",
        request=None,
        responses={**_NO_CONTENT_RESPONSE, **_OWN_ACCOUNT_RESPONSE},
        tags=_USERS_TAG,
    )
    def post(self, request: Request, username: str) -> Response:
        """Mute: their posts leave your feed; they are not told."""
        services.mute(*self.pair(request, username))
        return Response(status=NO_CONTENT)

    @extend_schema(operation_id="unmute_user", responses=_NO_CONTENT_RESPONSE, tags=_USERS_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Unmute."""
        services.unmute(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class MyFollowerView(RelationView):
    @extend_schema(operation_id="remove_follower", responses=_NO_CONTENT_RESPONSE, tags=_ME_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Remove a follower."""
        services.remove_follower(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class AcceptView(RelationView):
    @extend_schema(operation_id="accept_follow_request", request=None, responses=_NO_CONTENT_RESPONSE, tags=_ME_TAG)
    def post(self, request: Request, username: str) -> Response:
        """Let a requester follow; 404 if they do not ask."""
        services.accept_request(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class RejectView(RelationView):
    @extend_schema(operation_id="reject_follow_request", request=None, responses=_NO_CONTENT_RESPONSE, tags=_ME_TAG)
    def post(self, request: Request, username: str) -> Response:
        """Turn a requester down, who is not told; 404 if they do not ask."""
        services.reject_request(*self.pair(request, username))
        return Response(status=NO_CONTENT)


class UserListView(APIView):
    """A list of another's; 403 if the account is private and you do not follow it."""

    people_list = user_lists.FOLLOWERS

    @extend_schema(responses={200: _PAGE_OF_USERS, **_PRIVATE_RESPONSE}, tags=_USERS_TAG)
    def get(self, request: Request, username: str) -> HttpResponse:
        user, relation = get_visible_user_and_relationship(current_user(request).pk, username)
        if user.is_private and relation is not None and not relation.following:
            raise PermissionDenied("This account is private.")
        return user_list_response(request, self.people_list, user.pk)


@_document_list("list_followers", user_lists.FOLLOWERS)
class FollowersView(UserListView):
    """Who follows a user; 403 if the account is private and you do not follow it."""


@_document_list("list_following", user_lists.FOLLOWING)
class FollowingView(UserListView):
    """Whom a user follows; 403 if the account is private and you do not follow it."""

    people_list = user_lists.FOLLOWING


class MyListView(APIView):
    """A list of one's own."""

    people_list = user_lists.FOLLOW_REQUESTS

    @extend_schema(responses=_PAGE_OF_USERS, tags=_ME_TAG)
    def get(self, request: Request) -> HttpResponse:
        return user_list_response(request, self.people_list, current_user(request).pk)


@_document_list("list_follow_requests", user_lists.FOLLOW_REQUESTS)
class FollowRequestsView(MyListView):
    """Who asks to follow you."""


@_document_list("list_blocks", user_lists.BLOCKS)
class BlocksView(MyListView):
    """Whom you block."""

    people_list = user_lists.BLOCKS


@_document_list("list_mutes", user_lists.MUTES)
class MutesView(MyListView):
    """Whom you muted."""

    people_list = user_lists.MUTES
