"""URLs of a model's admin pages."""

from __future__ import annotations

from django.db.models import Model
from django.urls import reverse


def changelist_url(model: type[Model]) -> str:
    """Return the URL of the model's list."""
    return reverse(f"admin:{url_name(model, 'changelist')}")


def change_url(model: type[Model], pk: int) -> str:
    """Return the URL of one row's page."""
    return reverse(f"admin:{url_name(model, 'change')}", args=[pk])


def url_name(model: type[Model], page: str) -> str:
    """Return the name of an admin page's URL, such as `posts_case_changelist`."""
    return f"{model._meta.app_label}_{model._meta.model_name}_{page}"
