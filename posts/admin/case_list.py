"""The list that a moderator works through: its filters and order, the position of a case in it, and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from instafeed.core.admin.base import MAX_LISTED_ROWS, PAGE_SIZE, BoundedChangeList
from posts.models import Case, CaseState


class _UnlistedChangeList(BoundedChangeList):
    """Applies filters, search and order, and loads no page."""

    def get_results(self, request: HttpRequest) -> None:
        pass


@dataclass(frozen=True)
class Position:
    """Where a case is in the list, of which only the first `MAX_LISTED_ROWS` cases are counted."""

    number: int | None  # from 1; None if it is not among them
    total: int
    is_total_exact: bool
    has_previous: bool
    has_next: bool  # a case that the moderator can have
    with_others: int  # cases that follow and that this moderator cannot have now

    @property
    def is_last(self) -> bool:
        return self.number == self.total and self.is_total_exact


class CaseList:
    """The cases of a list page with a query string, without paging."""

    def __init__(
        self, model_admin: ModelAdmin[Case], request: HttpRequest, query: str, *, may_decide_escalated: bool
    ) -> None:
        self._cases = _apply(model_admin, request, query)
        self._may_decide_escalated = may_decide_escalated

    def locate(self, case: Case, moderator_id: int) -> Position:
        """Return the position of the case. Runs one query."""
        fields = self._cases.using(DEFAULT_DB_ALIAS).values_list(
            "pk", "state", "claimed_by_id", "claimed_until", "escalated_at"
        )
        rows = list(fields[: MAX_LISTED_ROWS + 1])
        listed, now = rows[:MAX_LISTED_ROWS], timezone.now()
        index = next((index for index, row in enumerate(listed) if row[0] == case.pk), None)

        def is_free(row: Any) -> bool:
            _, state, claimed_by_id, until, escalated_at = row
            if state == CaseState.OPEN and escalated_at is not None and not self._may_decide_escalated:
                return False
            return state != CaseState.OPEN or claimed_by_id in (None, moderator_id) or until is None or until <= now

        following = rows[index + 1 :] if index is not None else [row for row in rows if row[0] != case.pk]
        free = sum(map(is_free, following))
        return Position(
            number=index + 1 if index is not None else None,
            total=len(listed),
            is_total_exact=len(rows) <= MAX_LISTED_ROWS,
            has_previous=index != 0 and len(rows) > 0,
            has_next=free > 0,
            with_others=len(following) - free,
        )

    def decidable(self, cases: QuerySet[Case]) -> QuerySet[Case]:
        """Return those of these cases that do not wait for the second opinion of a senior moderator."""
        return cases if self._may_decide_escalated else cases.exclude(state=CaseState.OPEN, escalated_at__isnull=False)

    def all(self) -> QuerySet[Case]:
        return self._cases

    def after(self, case: Case) -> QuerySet[Case]:
        """Return the cases that follow, also of one that has just left the list. All other cases if that is unclear."""
        return self._cases.filter(_comes_after(case, self._cases.query.order_by)).exclude(pk=case.pk)

    def before(self, case: Case) -> QuerySet[Case]:
        """Return the cases that come before this one, the nearest first."""
        backwards = self._cases.reverse()
        order = [_reverse(str(name)) for name in self._cases.query.order_by]
        return backwards.filter(_comes_after(case, order)).exclude(pk=case.pk)


def _apply(model_admin: ModelAdmin[Case], request: HttpRequest, query: str) -> QuerySet[Case]:
    """Return the queryset of the list page with this query string. One that is not valid counts as empty."""
    listed = copy(request)
    listed.GET = QueryDict(query)
    try:
        changelist = _UnlistedChangeList(
            listed,
            model_admin.model,
            list_display=(),
            list_display_links=(),
            list_filter=model_admin.get_list_filter(listed),
            date_hierarchy=None,
            search_fields=model_admin.get_search_fields(listed),
            list_select_related=(),
            list_per_page=PAGE_SIZE,
            list_max_show_all=PAGE_SIZE,
            list_editable=(),
            model_admin=model_admin,
            sortable_by=(),
            search_help_text="",
        )
    except (IncorrectLookupParameters, SuspiciousOperation):
        return _apply(model_admin, request, "") if query else model_admin.model.objects.none()
    return changelist.queryset


def _comes_after(case: Case, order: Sequence[Any]) -> Q:
    """Return the condition that a row comes after the case in this order of columns, of which the last is unique."""
    condition = Q(pk__in=[])
    for name in map(str, reversed(order)):
        field, comparison = name.removeprefix("-"), "lt" if name.startswith("-") else "gt"
        value = getattr(case, field)
        if value is None:
            return Q()
        condition = Q((f"{field}__{comparison}", value)) | Q((field, value)) & condition
    return condition


def _reverse(name: str) -> str:
    return name.removeprefix("-") if name.startswith("-") else f"-{name}"
