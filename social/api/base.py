"""Shared parts of the social API: a base view for relations, and pages of users."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

from django.http import HttpResponse
from django.utils.encoding import iri_to_uri
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from accounts.user_cache import get_user_summaries
from instafeed.core import compact_json
from instafeed.core.api.errors import Conflict
from instafeed.core.api.pagination.list_page import filtered_page_response
from social.errors import Blocking, FollowingLimit, OwnAccount, RelationError
from social.selectors import Relationship, fetch_relationships
from social.user_lists import UserList
from social.visibility import UserRenamed, get_user_to_withdraw_from, get_visible_user

NO_CONTENT = 204


RENAMED_RESPONSE = {308: OpenApiResponse(description="The user was renamed: `Location` is the path with the new name.")}
RENAMED_LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[308], description="The path with the present username."
)


class UserReadView(APIView):
    """Base of views that read something of the user in the path. For a former username they redirect."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, UserRenamed):
            return Response(status=308, headers={"Location": self._get_path_with_username(exc.username)})
        return super().handle_exception(exc)

    def _get_path_with_username(self, username: str) -> str:
        # The rest of the path is fixed, and a username needs no quoting.
        path = self.request.path.replace(f"/users/{self.kwargs['username']}", f"/users/{username}", 1)
        query = self.request.META.get("QUERY_STRING", "")
        return iri_to_uri(f"{path}?{query}" if query else path)


class RelationView(APIView):
    """Base of views that change the viewer's relation to the user in the path; 404 if the viewer cannot see them."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(_to_api_exception(exc) if isinstance(exc, RelationError) else exc)

    def get_ids_to_withdraw(self, request: Request, username: str, *relations: str) -> tuple[int, int]:
        """Return the ids for a service that ends one of `relations`, also if the viewer can no longer see the user.

        Raises Http404 if the viewer cannot see the user and has no such relation.
        """
        viewer_id = current_user(request).pk
        return viewer_id, get_user_to_withdraw_from(viewer_id, username, relations).pk

    def get_viewer_and_user_ids(self, request: Request, username: str) -> tuple[int, int]:
        """Return the ids for a service. Raises Http404 if the viewer cannot see the user."""
        viewer_id = current_user(request).pk
        return viewer_id, get_visible_user(viewer_id, username).pk


def _to_api_exception(error: RelationError) -> Exception:
    if isinstance(error, OwnAccount):
        return ValidationError({"username": [ErrorDetail(str(error), "own_account")]})
    if isinstance(error, Blocking):
        return Conflict(str(error), "blocking")
    if isinstance(error, FollowingLimit):
        return Conflict(str(error), "following_limit")
    return NotFound()  # UnknownUser, NoRequest


def user_list_response(request: Request, user_list: UserList, owner_id: int) -> HttpResponse:
    """Return the requested page of a list without inactive users and users who block the viewer."""
    viewer_id = current_user(request).pk

    def render(user_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        summaries = get_visible_summaries(viewer_id, user_ids)
        return [(user_id, summaries[user_id]) for user_id in user_ids if user_id in summaries]

    return filtered_page_response(request, user_list.kind, partial(user_list.fetch_ids, owner_id), render)


def get_visible_summaries(viewer_id: int, user_ids: Sequence[int]) -> dict[int, bytes]:
    """Return the JSON summaries of users whom the viewer may see, with the viewer's relationship to each, by id.

    One query for relationships and one for summaries that are not cached.
    """
    visible = _get_visible(viewer_id, user_ids)
    return {id_: b'%b,"relationship":%b}' % (summary[:-1], relation) for id_, (summary, relation) in visible.items()}


def get_visible_relationships(viewer_id: int, user_ids: Sequence[int]) -> dict[int, bytes]:
    """Return the viewer's relationships to users whom they may see, as JSON, by id. Queries: see above."""
    return {id_: relation for id_, (_, relation) in _get_visible(viewer_id, user_ids).items()}


def _get_visible(viewer_id: int, user_ids: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
    """Return summary and relationship of the active users who do not block the viewer."""
    relationships = fetch_relationships(viewer_id, user_ids)
    return {
        user_id: (summary, _encode(None if user_id == viewer_id else relationships[user_id]))
        for user_id, summary in get_user_summaries(user_ids).items()
        if not relationships[user_id].blocked_by
    }


@cache  # at most 64 relationships
def _encode(relationship: Relationship | None) -> bytes:
    """Return the part of a relationship that the viewer may know; null for oneself."""
    shown = ("following", "requested", "followed_by", "blocking", "muting")
    return compact_json.encode(relationship and {field: getattr(relationship, field) for field in shown})
