"""What the views of the graph share: its refusals as answers, people by name, pages of people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.http import HttpResponse
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from accounts.user_cache import get_user_summaries
from instafeed.core.api.errors import Conflict
from instafeed.core.api.pagination.list_page import filtered_page_response
from social.errors import Blocking, OwnAccount, RelationError
from social.selectors import filter_blockers
from social.user_lists import UserList
from social.visibility import get_visible_user

NO_CONTENT = 204


class RelationView(APIView):
    """Acts on the user named in the path, who must exist for whoever asks."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(_to_api_exception(exc) if isinstance(exc, RelationError) else exc)

    def pair(self, request: Request, username: str) -> tuple[int, int]:
        """Whoever asks and the other, for a service; Http404 if the other does not exist for them."""
        viewer_id = current_user(request).pk
        return viewer_id, get_visible_user(viewer_id, username).pk


def _to_api_exception(error: RelationError) -> Exception:
    if isinstance(error, OwnAccount):
        return ValidationError({"username": [ErrorDetail(str(error), "own_account")]})
    if isinstance(error, Blocking):
        return Conflict(str(error), "blocking")
    return NotFound()  # UnknownUser, NoRequest


def user_list_response(request: Request, people_list: UserList, owner_id: int) -> HttpResponse:
    """The page of a list that the request asks for, less the inactive and those who block the viewer."""
    viewer_id = current_user(request).pk

    def show(user_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        cards = render_visible_users(viewer_id, user_ids)
        return [(user_id, cards[user_id]) for user_id in user_ids if user_id in cards]

    return filtered_page_response(request, people_list.kind, partial(people_list.ids, owner_id), show)


def render_visible_users(viewer_id: int, user_ids: Sequence[int]) -> dict[int, bytes]:
    """Cards of those among `user_ids` who exist for the viewer; a query for the blocks, another for cold cards."""
    hidden = filter_blockers(viewer_id, user_ids)
    return {user_id: card for user_id, card in get_user_summaries(user_ids).items() if user_id not in hidden}
