"""Template filters and tags of the moderators' pages: times, and links to what audit entries are about."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import audit_targets
from instafeed.core.admin.display import format_age

register = template.Library()
register.filter(audit_targets.target_link)

RECENT, MINUTE = timedelta(days=30), timedelta(minutes=1)


@register.filter
def moment(time: datetime) -> SafeString:
    """Return how long ago it was, with the exact time as a title; the exact time if that is long."""
    exact, age = f"{time:%Y-%m-%d %H:%M} UTC", timezone.now() - time
    shown = exact
    if age < RECENT:
        shown = f"{format_age(age)} ago" if age >= MINUTE else "just now"
    return format_html('<time datetime="{}" title="{}">{}</time>', time.isoformat(), exact, shown)


@register.filter
def exact_moment(time: datetime) -> SafeString:
    """Return the time as "2026-11-30 15:40 UTC"."""
    return format_html('<time datetime="{}">{} UTC</time>', time.isoformat(), f"{time:%Y-%m-%d %H:%M}")


@register.filter
def plain_action(name: str) -> str:
    """Return the name of an action in the audit log in words."""
    return name.replace("_", " ")
