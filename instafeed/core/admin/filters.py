"""List filters that an index answers, for tables with millions of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest


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
