"""Small things in lists and on detail pages: links to other objects, states, spans of time."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instafeed.core.admin.urls import change_url


def object_link(model: type[Model], pk: int, text: str = "") -> SafeString | str:
    """To an object's page in the admin; plain text if its model has none. The page itself asks who may see it."""
    text = text or str(pk)
    if not admin.site.is_registered(model):
        return text
    return format_html('<a href="{}">{}</a>', change_url(model, pk), text)


def state_badge(label: str, kind: str) -> SafeString:
    """A state as a badge; `kind` is good, busy or bad."""
    return format_html('<span class="state state-{}">{}</span>', kind, label)


def format_duration(time: timedelta) -> str:
    """As people read it: 240 ms, 3.1 s, 12 min, 5 h, 3 days."""
    seconds = max(0.0, time.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}" if unit == 1 else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"
