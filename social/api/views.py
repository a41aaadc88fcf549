"""Views of profiles, relations and lists of users. They only translate between HTTP and the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.etags import ETAG_PARAMETERS, NOT_MODIFIED_RESPONSE, json_with_etag
from instafeed.core.api.fields import ID_PATTERN
from instafeed.core.api.openapi.components import error_response, error_responses, list_parameters, page_serializer
from instafeed.core.api.throttling import BlockThrottle, FollowThrottle, UserThrottle
from social import services, user_lists
from social.api.base import (
    NO_CONTENT,
    RENAMED_LOCATION,
    RENAMED_RESPONSE,
    RelationView,
    UserReadView,
    get_visible_relationships,
    user_list_response,
)
from social.api.serializers import (
    MAX_RELATIONSHIPS,
    FollowStateSerializer,
    ListedPersonSerializer,
    RelationshipsQuerySerializer,
    SeenProfileSerializer,
    UserRelationshipSerializer,
)
from social.visibility import get_reachable_user, get_visible_user_and_relationship

_ViewT = TypeVar("_ViewT", bound=type[APIView])
_USERS_TAG, _ME_TAG = ["users"], ["me"]
_PAGE_OF_USERS = page_serializer(ListedPersonSerializer)
_NO_CONTENT_RESPONSE = {204: None}
_OWN_ACCOUNT_RESPONSE = error_response(400, "own_account", "This is your own account.", attr="username")
_CANNOT_FOLLOW_RESPONSE = error_responses(
    409,
    ("blocking", "You block this account: unblock it first."),
    ("following_limit", "You follow too many accounts: unfollow some first."),
)
_IDS = OpenApiParameter(
    "ids",
    {"type": "array", "items": {"type": "string", "pattern": ID_PATTERN}, "minItems": 1, "maxItems": MAX_RELATIONSHIPS},
    required=True,
    description="Ids of users, separated by commas.",
    style="form",
    explode=False,
)
_PRIVATE_RESPONSE = error_response(
    403, "permission_denied", "The account is private and you do not follow it.", detail="This account is private."
)


def _document_list(
    operation_id: str, user_list: user_lists.UserList, *more: OpenApiParameter
) -> Callable[[_ViewT], _ViewT]:
    """Document the inherited `get` of a list view."""
    parameters = [*list_parameters(user_list.kind), *more]
    return extend_schema_view(get=extend_schema(operation_id=operation_id, parameters=parameters))


class ProfileView(UserReadView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @extend_schema(
        operation_id="get_user",
        parameters=[RENAMED_LOCATION, *ETAG_PARAMETERS],
        responses={200: SeenProfileSerializer, **NOT_MODIFIED_RESPONSE, **RENAMED_RESPONSE},
        tags=_USERS_TAG,
    )
    def get(self, request: Request, username: str) -> HttpResponse:
        """Get a profile. Signing in is not required, not even for the profile of a private account."""
        user, relationship = get_visible_user_and_relationship(request.user.pk, username)
        return json_with_etag(request, SeenProfileSerializer(user, context={"relationship": relationship}).data)


class RelationshipsView(APIView):
    @extend_schema(
        operation_id="list_relationships",
        parameters=[_IDS],
        responses=UserRelationshipSerializer(many=True),
        tags=_USERS_TAG,
    )
    def get(self, request: Request) -> HttpResponse:
        """Return your relationships to up to 100 users, in the given order.

        Users who do not exist, or whom you may not see, are left out.
        """
        query = RelationshipsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ids: list[int] = query.validated_data["ids"]
        found = get_visible_relationships(current_user(request).pk, ids)
        rows = [b'{"id":"%d","relationship":%b}' % (id_, found[id_]) for id_ in ids if id_ in found]
        return HttpResponse(b"[%b]" % b",".join(rows), content_type="application/json")


class FollowView(RelationView):
    throttle_classes = [UserThrottle, FollowThrottle]

    @extend_schema(
        operation_id="follow_user",
        request=None,
        responses={200: FollowStateSerializer, **_OWN_ACCOUNT_RESPONSE, **_CANNOT_FOLLOW_RESPONSE},
        tags=_USERS_TAG,
    )
    def post(self, request: Request, username: str) -> Response:
        """Follow a public account, or request to follow a private one.

        409 while you block the account (`blocking`), and beyond the number of accounts that you may follow
        (`following_limit`).
        """
        return Response({"state": services.follow(*self.get_viewer_and_user_ids(request, username))})

    @extend_schema(operation_id="unfollow_user", responses=_NO_CONTENT_RESPONSE, tags=_USERS_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Unfollow an account, or withdraw the follow request, also while the account is suspended."""
        services.unfollow(*self.get_ids_to_withdraw(request, username, "following", "requested"))
        return Response(status=NO_CONTENT)


class BlockView(RelationView):
    throttle_classes = [UserThrottle, BlockThrottle]

    @extend_schema(
        operation_id="block_user",
        request=None,
        responses={**_NO_CONTENT_RESPONSE, **_OWN_ACCOUNT_RESPONSE},
        tags=_USERS_TAG,
    )
    def post(self, request: Request, username: str) -> Response:
        """Block a user. Follows and requests end both ways, and your account becomes a 404 for them.

        You can also block users who commented on your posts and then blocked you.
        """
        viewer_id = current_user(request).pk
        services.block(viewer_id, get_reachable_user(viewer_id, username).pk)
        return Response(status=NO_CONTENT)

    @extend_schema(operation_id="unblock_user", responses=_NO_CONTENT_RESPONSE, tags=_USERS_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Unblock a user. The follows that the block ended are not restored."""
        services.unblock(*self.get_ids_to_withdraw(request, username, "blocking"))
        return Response(status=NO_CONTENT)


class MuteView(RelationView):
    throttle_classes = [UserThrottle, BlockThrottle]

    @extend_schema(
        operation_id="mute_user",
        request=None,
        responses={**_NO_CONTENT_RESPONSE, **_OWN_ACCOUNT_RESPONSE},
        tags=_USERS_TAG,
    )
    def post(self, request: Request, username: str) -> Response:
        """Mute a user. Their posts leave your feed; they are not notified."""
        services.mute(*self.get_viewer_and_user_ids(request, username))
        return Response(status=NO_CONTENT)

    @extend_schema(operation_id="unmute_user", responses=_NO_CONTENT_RESPONSE, tags=_USERS_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Unmute a user. Their posts return to your feed."""
        services.unmute(*self.get_ids_to_withdraw(request, username, "muting"))
        return Response(status=NO_CONTENT)


class MyFollowerView(RelationView):
    @extend_schema(operation_id="remove_follower", responses=_NO_CONTENT_RESPONSE, tags=_ME_TAG)
    def delete(self, request: Request, username: str) -> Response:
        """Remove a follower. They are not notified."""
        services.remove_follower(*self.get_viewer_and_user_ids(request, username))
        return Response(status=NO_CONTENT)


class AcceptView(RelationView):
    @extend_schema(operation_id="accept_follow_request", request=None, responses=_NO_CONTENT_RESPONSE, tags=_ME_TAG)
    def post(self, request: Request, username: str) -> Response:
        """Accept a follow request; 404 if there is none."""
        services.accept_request(*self.get_viewer_and_user_ids(request, username))
        return Response(status=NO_CONTENT)


class RejectView(RelationView):
    @extend_schema(operation_id="reject_follow_request", request=None, responses=_NO_CONTENT_RESPONSE, tags=_ME_TAG)
    def post(self, request: Request, username: str) -> Response:
        """Reject a follow request; 404 if there is none. The requester is not notified."""
        services.reject_request(*self.get_viewer_and_user_ids(request, username))
        return Response(status=NO_CONTENT)


class UserListView(UserReadView):
    """A list of any user; 403 if the account is private and you do not follow it."""

    user_list = user_lists.FOLLOWERS

    @extend_schema(responses={200: _PAGE_OF_USERS, **RENAMED_RESPONSE, **_PRIVATE_RESPONSE}, tags=_USERS_TAG)
    def get(self, request: Request, username: str) -> HttpResponse:
        user, relationship = get_visible_user_and_relationship(current_user(request).pk, username)
        if user.is_private and relationship is not None and not relationship.following:
            raise PermissionDenied("This account is private.")
        return user_list_response(request, self.user_list, user.pk)


@_document_list("list_followers", user_lists.FOLLOWERS, RENAMED_LOCATION)
class FollowersView(UserListView):
    """List the followers of a user; 403 if the account is private and you do not follow it."""


@_document_list("list_following", user_lists.FOLLOWING, RENAMED_LOCATION)
class FollowingView(UserListView):
    """List the accounts that a user follows; 403 if the account is private and you do not follow it."""

    user_list = user_lists.FOLLOWING


class MyListView(APIView):
    """A list of the viewer's own."""

    user_list = user_lists.FOLLOW_REQUESTS

    @extend_schema(responses=_PAGE_OF_USERS, tags=_ME_TAG)
    def get(self, request: Request) -> HttpResponse:
        return user_list_response(request, self.user_list, current_user(request).pk)


@_document_list("list_follow_requests", user_lists.FOLLOW_REQUESTS)
class FollowRequestsView(MyListView):
    """List the users who have requested to follow you."""


@_document_list("list_blocks", user_lists.BLOCKS)
class BlocksView(MyListView):
    """List the users whom you block."""

    user_list = user_lists.BLOCKS


@_document_list("list_mutes", user_lists.MUTES)
class MutesView(MyListView):
    """List the users whom you mute."""

    user_list = user_lists.MUTES
