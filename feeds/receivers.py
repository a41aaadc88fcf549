"""The only receivers of what posts and social announce: from here on somebody knows that feeds exist.

All of them run inside the sender's transaction, so what they write commits with the change or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import celebrity_pinned
from feeds import celebrity_policy, celebrity_transitions, fanout, fanout_outbox, tasks, visible_authors
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.jobs import enqueue
from posts.models import Post
from social.signals import audience_changed, relations_changed


@receiver(post_save, sender=Post)
def enqueue_fanout_on_post_created(instance: Post, created: bool, raw: bool, **_: Any) -> None:
    """Write the outbox row with the post, and nudge a worker once both are committed."""
    if not created or raw:
        return
    # The lock makes posts and celebrity moves serial: a post that commits after a demotion began must have
    # seen it, or it would be neither pushed nor pulled (ADR 3).
    author = User.objects.select_for_update(no_key=True).only("celebrity_state").get(pk=instance.author_id)
    fanout_outbox.enqueue(instance.pk, author.pk, celebrity_policy.delivery_mode(author.celebrity_state))
    # robust: the post is committed, whatever happens to the follow-up; the sweeper makes up for it.
    transaction.on_commit(partial(_start_delivery, instance.pk, author.pk), robust=True)


def _start_delivery(post_id: int, author_id: int) -> None:
    fanout.deliver_to_author(post_id, author_id)
    enqueue.try_enqueue(tasks.deliver_post, post_id)


@receiver(relations_changed)
def invalidate_home_feeds(viewer_ids: Iterable[int], **_: Any) -> None:
    """Whose view of the world changed reads it anew."""
    invalidate(visible_authors.home_feed_keys(viewer_ids))


@receiver(audience_changed)
def check_celebrity_threshold(author_ids: Iterable[int], **_: Any) -> None:
    """Notice an author who crossed the line; the next follow notices it again should the nudge be lost."""
    fields = ("celebrity_state", "celebrity_pin", "follower_count")
    for author in User.objects.filter(pk__in=list(author_ids)).only(*fields):
        if celebrity_policy.needs_transition(author):
            transaction.on_commit(
                partial(enqueue.try_enqueue, tasks.reconcile_celebrity_status, author.pk), robust=True
            )


@receiver(celebrity_pinned)
def begin_transition_on_pin(user_id: int, **_: Any) -> None:
    """A moderator has decided: the move begins with that; beat makes up for a nudge that is lost."""
    celebrity_transitions.begin_transition(user_id)
    transaction.on_commit(partial(enqueue.try_enqueue, tasks.reconcile_celebrity_status, user_id), robust=True)
