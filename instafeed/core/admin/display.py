"""Cells of lists and detail pages: links to other objects, state badges, durations."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instafeed.core.admin.urls import change_url


def object_link(model: type[Model], pk: int, text: str = "") -> SafeString | str:
    """Return a link to the object's admin page, or plain text if the model has none.

    The linked page checks the permission to view it.
    """
    text = text or str(pk)
    if not admin.site.is_registered(model):
        return text
    return format_html('<a href="{}">{}</a>', change_url(model, pk), text)


def state_badge(label: str, kind: str) -> SafeString:
    """Return a badge; `kind` is `good`, `busy` or `bad`."""
    return format_html('<span class="state state-{}">{}</span>', kind, label)


def format_duration(duration: timedelta) -> str:
    """Format a duration for people: 240 ms, 3.1 s, 12 min, 5 h, 3 days."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.0f} h"
    return f"{seconds / 86_400:.0f} days"


def format_age(age: timedelta) -> str:
    """Format how old something is in whole units: 0 min, 12 min, 5 h, 3 days."""
    minute = timedelta(minutes=1)
    return format_duration(age) if age >= 2 * minute else f"{age // minute} min"
