"""Admin search by what an index answers: an object's id, or the full username of its user."""

from __future__ import annotations

from typing import TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet

from instafeed.core.db.snowflake import parse_id

SEARCH_HELP_TEXT = "An id, or a whole username."

ModelT = TypeVar("ModelT", bound=Model)


def search_by_id_or_username(rows: QuerySet[ModelT], term: str, user_field: str) -> QuerySet[ModelT]:
    """Return the rows whose id or username equals `term`; all rows if `term` is empty.

    `user_field` is the attribute that holds the user's id, such as `author_id`. The username is looked up first: with
    a join the planner may read the table from its newest row on.
    """
    term = term.strip().lower().removeprefix("@")
    if not term:
        return rows
    condition = Q(pk__in=[])
    user_id = get_user_model().objects.filter(username=term).values_list("pk", flat=True).first()
    if user_id is not None:
        condition |= Q(**{user_field: user_id})
    if (object_id := parse_id(term)) is not None:
        condition |= Q(pk=object_id)
    return rows.filter(condition)
