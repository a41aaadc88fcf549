"""Filters for lists of millions, answered by an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest


class FlagFilter(SimpleListFilter):
    """All rows, or the few that are `condition`, for which there is a partial index."""

    choice: str
    condition: Q

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("1", self.choice)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self.condition) if self.value() == "1" else queryset


class ChoiceFilter(SimpleListFilter):
    """Rows by one of some values; whatever else an address asks for is ignored."""

    values: Sequence[tuple[str, str]]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return list(self.values)

    def condition_for(self, value: str) -> Q:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(self.condition_for(value)) if value in dict(self.values) else queryset
