"""An account with rows in every table that can refer to a user, and helpers to delete and inspect it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Address

from django.apps import apps
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from accounts import audit, deletion, erasure_worker, former_usernames, personal_data_registry, second_factor, sessions
from accounts.models import (
    BlockedEmailDomain,
    BlockedNetwork,
    CountChange,
    Invite,
    MailKind,
    OneTimeToken,
    OutgoingMail,
    Reason,
    User,
)
from instafeed.core.jobs.leased import JobState, Outcome
from instafeed.core.models import IdempotentResponse
from instafeed.exports.requests import request_export
from media.models import Media
from media.relocation import schedule_relocation
from posts import counters, services
from posts.models import Comment, CommentLike, Like, Note, Post, TargetType
from social.models import (
    NotificationKind,
    NotificationPreference,
    NotificationState,
    OutgoingPush,
    PushSubscription,
    RequestAcceptance,
)
from social.notifications import Event, announce, send_moderator_message
from social.notifications.consumer import consume_batches
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory
from tests.support.follow_graph import assert_counts_match_follows
from tests.support.pictures import ready_media

_HOSTILE_RELATIONS = (
    (FollowRequestFactory, "follower", "followee"),
    (BlockFactory, "blocker", "blocked"),
    (MuteFactory, "muter", "muted"),
)


def populate_account(user: User) -> list[User]:
    """Create two friends, who like and comment both ways, and a foe with blocks, mutes and requests both ways.

    Returns the friends, then the foe.
    """
    friends, foe = UserFactory.create_batch(2), UserFactory()
    for friend in friends:
        FollowFactory(follower=user, followee=friend)
        FollowFactory(follower=friend, followee=user)
        _interact(user, friend)
        _interact(friend, user)
    for factory, one, two in _HOSTILE_RELATIONS:
        factory(**{one: user, two: foe})
        factory(**{one: foe, two: user})
    Note.objects.create(
        target_type=TargetType.USER, target_id=user.pk, user_id=user.pk, author_id=foe.pk, author_name="mod", text="Hm."
    )
    RequestAcceptance.objects.create(owner_id=user.pk, due_at=timezone.now() + timedelta(days=1))
    FollowFactory(follower=friends[0], followee=friends[1])
    MuteFactory(muter=friends[1], muted=foe)
    CountChange.objects.create(user_id=user.pk)  # a follow that was undone
    _interact(friends[0], friends[1])
    with transaction.atomic():
        send_moderator_message(NotificationKind.WARNING, [user.pk], "be nice")
        send_moderator_message(NotificationKind.DECISION, [user.pk], "it stays")
    for action in ("warn", "suspend", "dismiss"):
        audit.record(foe, action, "user", user.pk, user_id=user.pk, reason=f"a reason to {action}")
    while consume_batches():
        pass
    _add_notifications_session_and_mail(user, friends[0])
    Invite.objects.create(code=f"{user.pk:a>28}", created_by=user)
    BlockedEmailDomain.objects.create(domain=f"spam{user.pk}.example", created_by=user)
    BlockedNetwork.objects.create(network=str(IPv6Address("2001:db8::") + user.pk), created_by=user)
    return [*friends, foe]


def _interact(author: User, reader: User) -> None:
    """Create a post with a picture. The reader likes, saves, reports and comments on it, and the author replies."""
    post = services.create_post(author.pk, f"a #tag for @{reader.username}", [create_picture(author).pk])
    services.like_post(reader.pk, post.pk)
    services.save_post(reader.pk, post.pk)
    comment = services.create_comment(reader.pk, post.pk, author.pk, "well said", None)
    services.like_comment(author.pk, comment.pk, post.pk, reader.pk)
    reply = services.create_comment(author.pk, post.pk, author.pk, "thank you", comment)
    services.like_comment(reader.pk, reply.pk, post.pk, author.pk)
    services.file_report(reader.pk, services.Target(TargetType.POST, post.pk, author.pk), Reason.SPAM, "too many tags")
    services.file_report(reader.pk, services.Target(TargetType.USER, author.pk, author.pk), Reason.OTHER, "not nice")


def create_picture(owner: User) -> Media:
    with transaction.atomic():
        schedule_relocation(owner.pk)
    return ready_media(owner, alt_text="a face")


def _add_notifications_session_and_mail(user: User, friend: User) -> None:
    request_export(user.pk)
    NotificationState.objects.create(user_id=user.pk, read_up_to=1)
    with transaction.atomic():  # not consumed yet
        announce(Event("follow", friend.pk, user.pk), Event("follow", user.pk, friend.pk))
    sessions.start(user)
    _subscribe_to_push(user)
    second_factor.enroll(user.pk, replace=False)
    former_usernames.record_rename(user.pk, f"former.{user.pk}", user.username)
    OutgoingMail.objects.create(user=user, kind=MailKind.RESET, address="a@example.org", state=JobState.DEAD)
    OneTimeToken.objects.create(
        user=user,
        purpose=MailKind.RESET,
        digest=user.pk.to_bytes(32, "big"),
        address="a@example.org",
        password_state="",
        expires_at=timezone.now(),
    )
    IdempotentResponse.objects.create(
        user_id=user.pk, digest="0" * 32, request_digest="1" * 32, status=201, body=b'{"id":"1"}'
    )


def _subscribe_to_push(user: User) -> None:
    NotificationPreference.objects.create(user_id=user.pk, kind="like", push=False)
    subscription = PushSubscription.objects.create(
        user_id=user.pk,
        session=user.session_set.latest("pk"),
        endpoint=f"https://fcm.googleapis.com/fcm/send/{user.pk}",
        p256dh=b"",
        auth=b"",
    )
    OutgoingPush.objects.create(subscription_id=subscription.pk, notification_id=1)


def registered_columns() -> set[str]:
    """Return every registered column that holds a user's id."""
    return {column for category in personal_data_registry.get_categories() for column in category.columns}


def count_rows_mentioning(user_id: int) -> dict[str, int]:
    """Return the number of rows with the user's id, by registered column, without zeros."""
    found = {}
    for column in registered_columns():
        label, field = column.rsplit(".", 1)
        if count := apps.get_model(label)._default_manager.filter(**{field: user_id}).count():
            found[column] = count
    return found


def assert_counts_are_exact() -> None:
    """Compare the counts of follows, posts, likes and comments with the rows, except for deleted posts and users."""
    assert_counts_match_follows()
    published = Post.objects.filter(deleted_at=None, media_pending=False)
    posts = dict(published.values_list("author").annotate(Count("pk")))
    post_counts = dict(User.objects.filter(is_active=True).values_list("pk", "post_count"))
    assert post_counts == {pk: posts.get(pk, 0) for pk in post_counts}
    likes = dict(Like.objects.values_list("post").annotate(Count("user")))
    comments = dict(Comment.objects.filter(hidden_at=None).values_list("post").annotate(Count("pk")))
    post_ids = list(Post.objects.filter(deleted_at=None).values_list("pk", flat=True))
    for post_id, counts in counters.fetch_counts(post_ids).items():
        assert (counts.likes, counts.comments) == (likes.get(post_id, 0), comments.get(post_id, 0))
    comment_likes = dict(CommentLike.objects.values_list("comment").annotate(Count("user")))
    shown = Comment.objects.filter(post__deleted_at=None, author__is_active=True)
    comment_ids = list(shown.values_list("pk", flat=True))
    like_counts = {id_: counts.likes for id_, counts in counters.fetch_counts(comment_ids).items()}
    assert like_counts == {id_: comment_likes.get(id_, 0) for id_ in comment_ids}


def delete_account(user: User) -> None:
    deletion.delete_account(user.pk)


def end_in_flight_requests() -> None:
    """Move deletions into the past, so that the requests that ran meanwhile are over."""
    past = timezone.now() - erasure_worker.IN_FLIGHT_WRITES_TIMEOUT
    User.objects.filter(deleted_at__isnull=False).update(deleted_at=past)


def run_erasure() -> int:
    """Run the erasure worker to its end, as if all in-flight requests were over. Return the number of slices."""
    end_in_flight_requests()
    slices = 1
    while erasure_worker.process_next() is not Outcome.UNCLAIMED:
        slices += 1
    return slices
