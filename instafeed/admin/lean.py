"""What every admin page has in common: quick whatever the size of the table, read-only unless a page says otherwise.

No table is counted, and no list goes deeper than `DEEPEST` rows: whoever looks for something further down searches
or filters. Rows are changed by services through actions, which leave their entries in the audit log; the
admin's own forms for adding, changing and deleting are off.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

DEEPEST = 2_000  # rows of a list that can be paged to
PER_PAGE = 50


class BoundedPaginator(Paginator):
    """Counts no further than `DEEPEST`, so that neither the count nor an OFFSET ever reads more rows."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[:DEEPEST].count()


class LeanAdmin(admin.ModelAdmin):
    """Lists newest first; search and filters must be answered by an index."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = PER_PAGE
    list_max_show_all = PER_PAGE
    ordering = ("-pk",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
