"""Search by what an index answers: the object's id, or the whole name of a user whom it belongs to."""

from __future__ import annotations

from typing import TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet

from instafeed.core.db.snowflake import parse_id

SEARCH_HELP_TEXT = "An id, or a whole username."

ModelT = TypeVar("ModelT", bound=Model)


def search_by_id_or_username(rows: QuerySet[ModelT], term: str, user_field: str) -> QuerySet[ModelT]:
    """Those whose id or whose user's name `term` is; all for an empty one. `user_field` is the column's attribute.

    The user is looked up first: joined, the planner may well read the table from its newest row on.
    """
    term = term.strip().lower().removeprefix("@")
    if not term:
        return rows
    found = Q(pk__in=[])
    user_id = get_user_model().objects.filter(username=term).values_list("pk", flat=True).first()
    if user_id is not None:
        found |= Q(**{user_field: user_id})
    if (id_ := parse_id(term)) is not None:
        found |= Q(pk=id_)
    return rows.filter(found)
