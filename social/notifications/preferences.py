"""What users want to be notified of: for each kind, an entry in the app, and a push message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from instafeed.core.db.replicas.session import mark_written
from social.models import NotificationKind, NotificationPreference

# What moderators did.
ALWAYS_IN_APP = (NotificationKind.WARNING, NotificationKind.CONTENT_HIDDEN, NotificationKind.DECISION)

# Raw: in one statement, so that two devices at the same time change only what each of them names.
_UPSERT = """
INSERT INTO social_notificationpreference AS preference (user_id, kind, in_app, push)
SELECT %s, change.* FROM unnest(%s::text[], %s::boolean[], %s::boolean[]) AS change
ON CONFLICT (user_id, kind) DO UPDATE
SET in_app = coalesce(excluded.in_app, preference.in_app), push = coalesce(excluded.push, preference.push)
"""


class Channels(NamedTuple):
    """Where a user is notified of a kind. In changes, None leaves a channel as it is."""

    in_app: bool | None = None
    push: bool | None = None


def get_preferences(user_id: int) -> dict[str, Channels]:
    """Return the user's choice for every kind."""
    rows = NotificationPreference.objects.filter(user_id=user_id).values_list("kind", "in_app", "push")
    chosen = {kind: Channels(in_app is not False, push is not False) for kind, in_app, push in rows}
    return {kind.value: chosen.get(kind.value, Channels(True, True)) for kind in NotificationKind}


def change_preferences(user_id: int, changes: Mapping[str, Channels]) -> None:
    """Change the choices for some kinds. The kinds in ALWAYS_IN_APP must not be turned off in the app."""
    rows = [(kind, *channels) for kind, channels in sorted(changes.items())]
    if not rows:
        return
    mark_written()
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_UPSERT, [user_id, *(list(column) for column in zip(*rows, strict=True))])


def fetch_unwanted_in_app(user_ids: Collection[int]) -> set[tuple[int, str]]:
    """Return (user id, kind) of what these users do not want in the app. One query, on the primary."""
    return _fetch(user_ids, in_app=False)


def fetch_unwanted_as_push(user_ids: Collection[int]) -> set[tuple[int, str]]:
    """Return (user id, kind) of what these users want no push messages about. One query, on the primary."""
    return _fetch(user_ids, push=False)


def _fetch(user_ids: Collection[int], **channel: bool) -> set[tuple[int, str]]:
    rows = NotificationPreference.objects.using(DEFAULT_DB_ALIAS).filter(user_id__in=user_ids, **channel)
    return set(rows.values_list("user_id", "kind"))
