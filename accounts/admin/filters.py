"""Filters for lists of millions: each is answered by an index, none looks up its own choices."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from instafeed.ids import parse_id


class OnlyFilter(SimpleListFilter):
    """All rows, or the few that are `condition`, for which there is a partial index."""

    choice: str
    condition: Q

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("1", self.choice)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self.condition) if self.value() == "1" else queryset


class IdFilter(SimpleListFilter):
    """Rows that hold an id in `column`: for links from other pages, so it is shown only while it is used."""

    column: str

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(self.value() or "", f"{self.title} {self.value()}")] if self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        id_ = parse_id(self.value() or "")
        return queryset.none() if id_ is None else queryset.filter(**{self.column: id_})
