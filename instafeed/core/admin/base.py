"""What every admin page has in common: quick whatever the size of the table, read-only unless a page says otherwise.

No table is counted, and no list goes deeper than `MAX_LISTED_ROWS` rows: whoever looks for something further down searches
or filters. Rows are changed by services through actions, which leave their entries in the audit log; the
admin's own forms for adding, changing and deleting are off.

A list's address cannot ask for more than the page offers: no other order, no lookup but those of `list_filter` and
`linked_by`, and no action on more than what is ticked on one page.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from instafeed.core.db.snowflake import parse_id

MAX_LISTED_ROWS = 2_000  # rows of a list that can be paged to
PAGE_SIZE = 50


class BoundedPaginator(Paginator):
    """Counts no further than `MAX_LISTED_ROWS`, so that neither the count nor an OFFSET ever reads more rows."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[:MAX_LISTED_ROWS].count()


class BoundedChangeList(ChangeList):
    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The page's own order: Django takes another from the address, even if no column may be sorted by."""
        self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)


class BaseModelAdmin(admin.ModelAdmin):
    """Lists newest first. A search must be answered by an index; so must a filter, unless most rows pass it, or it
    narrows what an index has bounded already (the open cases, the failed pictures).

    `linked_by`: fields by whose values other pages may link here, as in `?author=17`.
    """

    linked_by: tuple[str, ...] = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count the whole table for each choice of each filter
    list_per_page = PAGE_SIZE
    list_max_show_all = PAGE_SIZE
    ordering = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        filters: list[Any] = list(self.list_filter)
        names = [getattr(spec, "parameter_name", spec[0] if isinstance(spec, tuple) else spec) for spec in filters]
        field = lookup.removesuffix("__exact").removesuffix("__isnull")
        return field in {*names, *self.linked_by} and super().lookup_allowed(lookup, value, request)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        chosen = request.POST.copy()
        chosen["select_across"] = "0"
        # What is no id would be a 500.
        ids = [raw for raw in chosen.getlist(ACTION_CHECKBOX_NAME) if parse_id(raw)][:PAGE_SIZE]
        chosen.setlist(ACTION_CHECKBOX_NAME, ids)
        request.POST = chosen  # type: ignore[assignment]
        return super().response_action(request, queryset, *args)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
