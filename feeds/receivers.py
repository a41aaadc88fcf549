"""The only receivers of signals from accounts, posts and social; those apps know nothing of feeds.

All receivers run inside the sender's transaction: their rows commit with the change or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import celebrity_pinned
from feeds import celebrity_policy, celebrity_transitions, fanout, fanout_outbox, tasks, visible_authors
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.jobs.enqueue import try_enqueue
from posts.models import Post
from social.signals import audience_changed, relations_changed


@receiver(post_save, sender=Post)
def enqueue_fanout_on_post_created(instance: Post, created: bool, raw: bool, **_: Any) -> None:
    """Start the write path of a new post: write its outbox row and, after the commit, deliver it.

    The author sees the post at once; followers see it when a worker has run `feeds.tasks.deliver_posts`.
    """
    if not created or raw:
        return
    post_id, author_id = instance.pk, instance.author_id
    fanout_outbox.enqueue(post_id, author_id)

    def deliver_after_commit() -> None:
        fanout.deliver_to_author(post_id, author_id)
        fanout_outbox.queue.task.request()

    # robust: the post is committed even if this fails, and the sweep requests the task again.
    transaction.on_commit(deliver_after_commit, robust=True)


@receiver(relations_changed)
def invalidate_home_timelines(viewer_ids: Iterable[int], **_: Any) -> None:
    """Invalidate the home timelines of viewers whose follows, blocks or mutes changed."""
    invalidate(visible_authors.home_timeline_keys(viewer_ids))


@receiver(audience_changed)
def check_celebrity_threshold(author_ids: Iterable[int], **_: Any) -> None:
    """Enqueue a transition for each author whose follower count crossed the celebrity threshold.

    If the task is lost, the author's next follow enqueues another one.
    """
    fields = ("celebrity_state", "celebrity_pin", "follower_count")
    for author in User.objects.filter(pk__in=list(author_ids)).only(*fields):
        if celebrity_policy.needs_transition(author):
            _reconcile_after_commit(author.pk)


@receiver(celebrity_pinned)
def begin_transition_on_pin(user_id: int, **_: Any) -> None:
    """Begin the transition that an operator's pin asks for, in the transaction of the pin.

    If the task is lost, `feeds.tasks.resume_celebrity_transitions` finishes the transition.
    """
    celebrity_transitions.begin_transition(user_id)
    _reconcile_after_commit(user_id)


def _reconcile_after_commit(author_id: int) -> None:
    transaction.on_commit(lambda: try_enqueue(tasks.reconcile_celebrity_status, author_id), robust=True)
