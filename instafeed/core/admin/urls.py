"""Where the admin's pages of a model are."""

from __future__ import annotations

from django.db.models import Model
from django.urls import reverse


def changelist_url(model: type[Model]) -> str:
    return reverse(f"admin:{url_name(model, 'changelist')}")


def change_url(model: type[Model], pk: int) -> str:
    """A row's own page."""
    return reverse(f"admin:{url_name(model, 'change')}", args=[pk])


def url_name(model: type[Model], page: str) -> str:
    """By which the admin's URLs know a page: `posts_case_changelist`, say."""
    return f"{model._meta.app_label}_{model._meta.model_name}_{page}"
