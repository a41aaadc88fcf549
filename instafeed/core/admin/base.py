"""The base class of every admin page: bounded cost for tables of any size, and read-only by default.

* No list counts its table or shows more than `MAX_LISTED_ROWS` rows. Search or filters find the others.
* A list's URL cannot ask for more than the page offers: no other order, no lookup except those of `list_filter` and
  `linked_by`, no action on more rows than one page shows.
* Services change rows, through admin actions that write to the audit log. The admin's own forms for adding, changing
  and deleting are off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.contrib.auth.models import AbstractUser
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from instafeed.core.db.snowflake import parse_id

MAX_LISTED_ROWS = 2_000
PAGE_SIZE = 50


def is_superuser(request: HttpRequest) -> bool:
    """Return whether an active superuser sent the request."""
    user = cast(AbstractUser, request.user)
    return user.is_active and user.is_superuser


class BoundedPaginator(Paginator):
    """Count up to `MAX_LISTED_ROWS` rows, which bounds the cost of both the count and the OFFSET."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[:MAX_LISTED_ROWS].count()


class BoundedChangeList(ChangeList):
    """Keep the page's own order. Django takes an order from the URL even when no column is sortable."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)


class BaseModelAdmin(admin.ModelAdmin):
    """A read-only list, newest first.

    An index must answer every search. An index must also answer every filter, unless most rows pass the filter or it
    applies to a list that an index has already bounded (the open cases, the failed pictures).

    `linked_by` names the fields by which other pages may link here, as in `?author=17`.
    """

    linked_by: tuple[str, ...] = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # facets count the whole table once for each choice of each filter
    list_per_page = PAGE_SIZE
    list_max_show_all = PAGE_SIZE
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        filters: list[Any] = list(self.list_filter)
        names = {name for spec in filters for name in _parameter_names(spec)}
        field = lookup.removesuffix("__exact").removesuffix("__isnull")
        return field in {*names, *self.linked_by} and super().lookup_allowed(lookup, value, request)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        """Run the action on at most one page of selected rows."""
        data = request.POST.copy()
        data["select_across"] = "0"
        # Django would answer a malformed id with a 500.
        ids = [raw for raw in data.getlist(ACTION_CHECKBOX_NAME) if parse_id(raw)][:PAGE_SIZE]
        data.setlist(ACTION_CHECKBOX_NAME, ids)
        request.POST = data  # type: ignore[assignment]
        return super().response_action(request, queryset, *args)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _parameter_names(spec: Any) -> Sequence[str]:
    """Return the URL parameters of an item of `list_filter`: a class, a field, or a pair of a field and a class."""
    if hasattr(spec, "parameter_names"):
        names: Sequence[str] = spec.parameter_names
        return names
    return [str(getattr(spec, "parameter_name", spec[0] if isinstance(spec, tuple) else spec))]
