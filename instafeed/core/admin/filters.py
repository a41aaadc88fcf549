"""List filters that an index answers, for tables with millions of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib.admin import ListFilter, ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from instafeed.core.db.snowflake import MAX_ID, first_id_at


class FlagFilter(SimpleListFilter):
    """Show all rows, or only those that match `condition`. A partial index must cover the condition."""

    choice: str
    condition: Q

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("1", self.choice)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self.condition) if self.value() == "1" else queryset


class ChoiceFilter(SimpleListFilter):
    """Show rows with one of the given values. Unknown values in the URL are ignored."""

    values: Sequence[tuple[str, str]]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return list(self.values)

    def condition_for(self, value: str) -> Q:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(self.condition_for(value)) if value in dict(self.values) else queryset


class DateRangeFilter(ListFilter):
    """Show the rows that were created between two days in UTC, both included.

    Their ids hold the time, so the primary key, or any index that ends with it, answers this filter. A text that is
    not a date finds nothing, and the page says why.
    """

    title = "date (UTC)"
    template = "admin/date_range_filter.html"
    parameter_names = ("from", "to")
    _SPANS = ((1, "Today"), (7, "Last 7 days"), (30, "Last 30 days"))

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: ModelAdmin[Any]
    ) -> None:
        super().__init__(request, params, model, model_admin)
        given: dict[str, str] = {name: params.pop(name)[-1] for name in self.parameter_names if name in params}
        self.used_parameters = dict(given)
        self.first, self.last = (given.get(name, "").strip() for name in self.parameter_names)
        kept = request.GET.dict().items()
        self.hidden_parameters = [pair for pair in kept if pair[0] not in (*self.parameter_names, PAGE_VAR)]
        self.error = next((f"“{day}” is not a date." for day in (self.first, self.last) if not is_date(day)), "")

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameter_names)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {
            "selected": not (self.first or self.last),
            "query_string": changelist.get_query_string(remove=list(self.parameter_names)),
            "display": "Any date",
        }
        today = timezone.now().date()
        for days, label in self._SPANS:
            first = (today - timedelta(days=days - 1)).isoformat()
            yield {
                "selected": (self.first, self.last) == (first, ""),
                "query_string": changelist.get_query_string({"from": first}, ["to"]),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.error:
            return queryset.none()
        if self.first:
            queryset = queryset.filter(pk__gte=first_id_at(_midnight(date.fromisoformat(self.first))))
        if self.last and (last := date.fromisoformat(self.last)) < date.max:
            queryset = queryset.filter(pk__lt=min(MAX_ID, first_id_at(_midnight(last + timedelta(days=1)))))
        return queryset


def is_date(text: str) -> bool:
    """Return whether the text is empty or a date such as 2026-11-30."""
    try:
        return not text or date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
