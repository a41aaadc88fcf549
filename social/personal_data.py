"""Personal data that the social graph holds about a user; see `accounts.personal_data_registry`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Model

from accounts.models import CountChange, User
from accounts.personal_data_registry import (
    PersonalDataCategory,
    Row,
    delete_locked_rows,
    erase_rows,
    iterate_chunks,
    lock_chunk,
    register,
)
from instafeed.core.api.formats import optional_id
from social.counter_rollup import roll_up
from social.export_rows import (
    ExportedMessageSerializer,
    ExportedPreferenceSerializer,
    ExportedPushSubscriptionSerializer,
    ExportedRelationSerializer,
)
from social.models import (
    Block,
    Follow,
    FollowRequest,
    ModeratorMessage,
    Mute,
    NotificationKind,
    NotificationPreference,
    PushSubscription,
    RequestAcceptance,
)
from social.push import endpoints, subscriptions
from social.selectors import filter_blockers
from social.services.count_changes import record_count_changes
from social.services.locks import lock_account, retry_on_conflict
from social.signals import relations_changed


@dataclass(frozen=True)
class RelationSide:
    """The rows of a relation in which the user is in column `owner`; column `other` has the other user."""

    model: type[Model]
    owner: str
    other: str

    @property
    def column(self) -> str:
        return f"{self.model._meta.label}.{self.owner}"

    def export(self, user_id: int) -> Iterator[Row]:
        """Yield id, username and start of each relation. The username is None if the user may not see the other."""
        other = f"{self.other}_id"
        rows = self.model._default_manager.filter(**{self.owner: user_id}).values(other, "created_at")
        for chunk in iterate_chunks(rows, other):
            usernames = _visible_usernames(user_id, [row[other] for row in chunk])
            for row in chunk:
                yield {"id": str(row[other]), "username": usernames.get(row[other]), "since": row["created_at"]}

    def erase(self, user_id: int) -> bool:
        return erase_rows(self.model._default_manager.filter(**{self.owner: user_id}))


def _visible_usernames(user_id: int, other_ids: list[int]) -> dict[int, str]:
    active = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=other_ids, is_active=True)
    usernames = dict(active.values_list("pk", "username"))
    return {id_: usernames[id_] for id_ in usernames.keys() - filter_blockers(user_id, other_ids)}


def erase_following(user_id: int) -> bool:
    return _delete_follow_batch(user_id, "follower")


def erase_followers(user_id: int) -> bool:
    return _delete_follow_batch(user_id, "followee")


@retry_on_conflict
@transaction.atomic(using=DEFAULT_DB_ALIAS)
def _delete_follow_batch(user_id: int, side: Literal["follower", "followee"]) -> bool:
    """Delete a batch of follows and record the count changes of the other users. Return True when none is left.

    The rows are locked before they are counted, so that a concurrent erasure of the other user does not count them too.
    """
    lock_account(user_id)
    follows, is_last = lock_chunk(Follow.objects.filter(**{side: user_id}))
    delete_locked_rows(follows)
    edges = [(follow.follower_id, follow.followee_id) for follow in follows]
    if edges:
        relations_changed.send(sender=Follow, viewer_ids={follower for follower, _ in edges})
        record_count_changes(edges, -1)
    return is_last


def roll_up_own_counts(user_id: int) -> bool:
    """Roll up pending count changes before the user's row is deleted. Return True when none is left."""
    roll_up()
    return not CountChange.objects.using(DEFAULT_DB_ALIAS).filter(user_id=user_id).exists()


FOLLOWING, FOLLOWERS = RelationSide(Follow, "follower", "followee"), RelationSide(Follow, "followee", "follower")
SENT_REQUESTS = RelationSide(FollowRequest, "follower", "followee")
RECEIVED_REQUESTS = RelationSide(FollowRequest, "followee", "follower")
BLOCKS, BLOCKED_BY = RelationSide(Block, "blocker", "blocked"), RelationSide(Block, "blocked", "blocker")
MUTES, MUTED_BY = RelationSide(Mute, "muter", "muted"), RelationSide(Mute, "muted", "muter")


def erase_received_requests(user_id: int) -> bool:
    RequestAcceptance.objects.filter(pk=user_id).delete()
    return RECEIVED_REQUESTS.erase(user_id)


def export_warnings(user_id: int) -> Iterator[Row]:
    """Yield the moderators' warnings to the user."""
    return _export_messages(user_id, NotificationKind.WARNING)


def export_decisions(user_id: int) -> Iterator[Row]:
    """Yield what the moderators told the user about their decisions."""
    return _export_messages(user_id, NotificationKind.DECISION)


def _export_messages(user_id: int, kind: NotificationKind) -> Iterator[Row]:
    messages = ModeratorMessage.objects.filter(recipient_id=user_id, kind=kind)
    rows = messages.values("id", "text", "post_id", "comment_id", "created_at")
    for chunk in iterate_chunks(rows, "id"):
        for row in chunk:
            yield {
                "text": row["text"],
                "post_id": optional_id(row["post_id"]),
                "comment_id": optional_id(row["comment_id"]),
                "created_at": row["created_at"],
            }


def erase_messages(user_id: int) -> bool:
    return erase_rows(ModeratorMessage.objects.filter(recipient_id=user_id))


def export_preferences(user_id: int) -> Iterator[Row]:
    """Yield the kinds of notifications for which the user has chosen something."""
    rows = NotificationPreference.objects.using(DEFAULT_DB_ALIAS).filter(user_id=user_id).order_by("kind")
    for row in rows:
        yield {"kind": row.kind, "in_app": row.in_app is not False, "push": row.push is not False}


def erase_preferences(user_id: int) -> bool:
    NotificationPreference.objects.filter(user_id=user_id).delete()
    return True


def export_push_subscriptions(user_id: int) -> Iterator[Row]:
    """Yield the browsers that get push messages, without what gives the right to send them some."""
    rows = PushSubscription.objects.filter(user_id=user_id).values("id", "session_id", "endpoint", "created_at")
    for chunk in iterate_chunks(rows, "id"):
        for row in chunk:
            yield {
                "session_id": str(row["session_id"]),
                "push_service": endpoints.origin_of(row["endpoint"]),
                "created_at": row["created_at"],
            }


def register_categories() -> None:
    """Register the categories. Erasure runs them from the last to the first."""
    relation = ExportedRelationSerializer
    register(
        # Erased after the follows, whose deletion adds count changes.
        PersonalDataCategory("count_changes", ["accounts.CountChange.user_id"], erase=roll_up_own_counts),
        PersonalDataCategory("following", [FOLLOWING.column], FOLLOWING.export, erase_following, relation),
        PersonalDataCategory("followers", [FOLLOWERS.column], FOLLOWERS.export, erase_followers, relation),
        PersonalDataCategory(
            "follow_requests_sent", [SENT_REQUESTS.column], SENT_REQUESTS.export, SENT_REQUESTS.erase, relation
        ),
        PersonalDataCategory(
            "follow_requests_received",
            [RECEIVED_REQUESTS.column, "social.RequestAcceptance.owner_id"],
            RECEIVED_REQUESTS.export,
            erase_received_requests,
            relation,
        ),
        PersonalDataCategory("blocks", [BLOCKS.column], BLOCKS.export, BLOCKS.erase, relation),
        PersonalDataCategory("mutes", [MUTES.column], MUTES.export, MUTES.erase, relation),
        PersonalDataCategory(
            "warnings",
            ["social.ModeratorMessage.recipient_id"],
            export_warnings,
            erase_messages,
            ExportedMessageSerializer,
        ),
        PersonalDataCategory("decisions", (), export_decisions, erase_messages, ExportedMessageSerializer),
        PersonalDataCategory(
            "notification_preferences",
            ["social.NotificationPreference.user_id"],
            export_preferences,
            erase_preferences,
            ExportedPreferenceSerializer,
        ),
        PersonalDataCategory(
            "push_subscriptions",
            ["social.PushSubscription.user_id"],
            export_push_subscriptions,
            subscriptions.delete_of_user,
            ExportedPushSubscriptionSerializer,
        ),
        # Not exported: users must not learn who blocks or mutes them.
        PersonalDataCategory("blocked_by", [BLOCKED_BY.column], erase=BLOCKED_BY.erase),
        PersonalDataCategory("muted_by", [MUTED_BY.column], erase=MUTED_BY.erase),
    )
