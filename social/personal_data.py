"""What the graph holds about a user (see `accounts.personal_data`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Model

from accounts.models import CountChange, User
from accounts.personal_data import CHUNK, Holding, Row, chunks, delete, erase_rows, register, take
from social.models import Block, Follow, FollowRequest, Mute, Warning
from social.notifications import forget_user
from social.notifications.selectors import entries, heard_of
from social.roll_up import roll_up
from social.selectors import blockers_among
from social.services.counts import count_follows
from social.services.locks import lock_account, retried
from social.signals import relations_changed


@dataclass(frozen=True)
class Side:
    """The rows of a relation in whose column `owner` the user stands; the column `other` holds the others."""

    model: type[Model]
    owner: str
    other: str

    @property
    def column(self) -> str:
        return f"{self.model._meta.label}.{self.owner}"

    def export(self, user_id: int) -> Iterator[Row]:
        """The others and since when, by their ids. Those who do not exist for the user have no name."""
        other = f"{self.other}_id"
        rows = self.model._default_manager.filter(**{self.owner: user_id}).values(other, "created_at")
        for chunk in chunks(rows, other):
            names = _names(user_id, [row[other] for row in chunk])
            for row in chunk:
                yield {"id": str(row[other]), "username": names.get(row[other]), "since": row["created_at"]}

    def erase(self, user_id: int) -> bool:
        return erase_rows(self.model._default_manager.filter(**{self.owner: user_id}))


def _names(user_id: int, other_ids: list[int]) -> dict[int, str]:
    active = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=other_ids, is_active=True)
    names = dict(active.values_list("pk", "username"))
    return {id_: names[id_] for id_ in names.keys() - blockers_among(user_id, other_ids)}


def erase_following(user_id: int) -> bool:
    return _end_follows(user_id, "follower")


def erase_followers(user_id: int) -> bool:
    return _end_follows(user_id, "followee")


@retried
@transaction.atomic(using=DEFAULT_DB_ALIAS)
def _end_follows(user_id: int, side: Literal["follower", "followee"]) -> bool:
    """End a slice of follows and count them on the other side; True when none is left.

    The rows are locked before they are counted: whoever erases the other side at this moment does not find them.
    """
    lock_account(user_id)
    follows, is_last = take(Follow.objects.filter(**{side: user_id}))
    delete(follows)
    edges = [(follow.follower_id, follow.followee_id) for follow in follows]
    if edges:
        relations_changed.send(sender=Follow, viewer_ids={follower for follower, _ in edges})
        count_follows(edges, -1)
    return is_last


def settle_counts(user_id: int) -> bool:
    """Add what is pending to the row, which goes last; True when nothing is left."""
    roll_up()
    return not CountChange.objects.using(DEFAULT_DB_ALIAS).filter(user_id=user_id).exists()


FOLLOWING, FOLLOWERS = Side(Follow, "follower", "followee"), Side(Follow, "followee", "follower")
SENT, RECEIVED = Side(FollowRequest, "follower", "followee"), Side(FollowRequest, "followee", "follower")
BLOCKS, BLOCKED_BY = Side(Block, "blocker", "blocked"), Side(Block, "blocked", "blocker")
MUTES, MUTED_BY = Side(Mute, "muter", "muted"), Side(Mute, "muted", "muter")


# Actors and states have no rows of their own in the export: they are in those of the entries.
NOTIFICATIONS = (
    *("social.Notification.recipient_id", "social.NotificationActor.actor_id", "social.NotificationState.user_id"),
    *("social.NotificationEvent.recipient_id", "social.NotificationEvent.actor_id"),
)


def export_notifications(user_id: int) -> Iterator[Row]:
    """The entries that the user can see, with the newest of those whom they tell of."""
    before = None
    while True:
        found = entries(user_id, before, CHUNK)
        for entry in heard_of(user_id, found):
            yield {
                "kind": entry.kind,
                "actor_ids": [str(actor_id) for actor_id in entry.actors],
                "actor_count": entry.actor_count,
                "post_id": _text(entry.post_id),
                "comment_id": _text(entry.comment_id),
                "created_at": entry.created_at,
                "read": entry.read,
            }
        if len(found) < CHUNK:
            return
        before = found[-1].position


def export_warnings(user_id: int) -> Iterator[Row]:
    """What moderators told the user."""
    rows = Warning.objects.filter(recipient_id=user_id).values("id", "text", "post_id", "comment_id", "created_at")
    for chunk in chunks(rows, "id"):
        for row in chunk:
            yield {
                "text": row["text"],
                "post_id": _text(row["post_id"]),
                "comment_id": _text(row["comment_id"]),
                "created_at": row["created_at"],
            }


def erase_warnings(user_id: int) -> bool:
    return erase_rows(Warning.objects.filter(recipient_id=user_id))


def _text(id_: int | None) -> str | None:
    return None if id_ is None else str(id_)


def declare() -> None:
    register(
        # After the follows, which erasure ends first.
        Holding("count_changes", ["accounts.CountChange.user_id"], erase=settle_counts),
        Holding("following", [FOLLOWING.column], FOLLOWING.export, erase_following),
        Holding("followers", [FOLLOWERS.column], FOLLOWERS.export, erase_followers),
        Holding("follow_requests_sent", [SENT.column], SENT.export, SENT.erase),
        Holding("follow_requests_received", [RECEIVED.column], RECEIVED.export, RECEIVED.erase),
        Holding("blocks", [BLOCKS.column], BLOCKS.export, BLOCKS.erase),
        Holding("mutes", [MUTES.column], MUTES.export, MUTES.erase),
        # Who blocks or mutes somebody is nobody else's affair.
        Holding("warnings", ["social.Warning.recipient_id"], export_warnings, erase_warnings),
        Holding("notifications", NOTIFICATIONS, export_notifications, forget_user),
        Holding("blocked_by", [BLOCKED_BY.column], erase=BLOCKED_BY.erase),
        Holding("muted_by", [MUTED_BY.column], erase=MUTED_BY.erase),
    )
