"""A small site whose counts can be made wrong, for the tests of `reconcile_counters`."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db.models import F, Model

from accounts.models import CountChange, User
from posts import counter_repair, services
from posts.models import Comment, Counter, Post
from social import services as social
from tests.support.factories import UserFactory


def reconcile(**options: Any) -> str:
    """Run the command and return its output."""
    out = StringIO()
    call_command("reconcile_counters", stdout=out, stderr=out, **options)
    return out.getvalue()


class CountedSite:
    """Three users who follow each other, each with a post that all of them like and one comments on."""

    def __init__(self) -> None:
        self.users = UserFactory.create_batch(3)
        self.posts = [services.create_post(user.pk, "a post") for user in self.users]
        self.comments = [
            services.create_comment(self.users[0].pk, post.pk, post.author_id, "well outputs", None)
            for post in self.posts
        ]
        for user in self.users:
            for other in self.users:
                if user != other:
                    social.follow(user.pk, other.pk)
            for post, comment in zip(self.posts, self.comments, strict=True):
                services.like_post(user.pk, post.pk)
                services.like_comment(user.pk, comment.pk, post.pk, comment.author_id)

    def corrupt(self) -> None:
        """Make the first counts of each kind wrong with increments, which are safe beside concurrent writers."""
        first, second = self.users[:2]
        User.objects.filter(pk=first.pk).update(follower_count=F("follower_count") + 5, post_count=F("post_count") + 9)
        CountChange.objects.create(user_id=second.pk, followers=-40, following=2)
        for subject, off in ((self.posts[0].pk, 3), (self.posts[1].pk, -8), (self.comments[0].pk, 4)):
            Counter.objects.update_or_create(subject_id=subject, slot=0)
            Counter.objects.filter(subject_id=subject, slot=0).update(likes=F("likes") + off)
        Counter.objects.filter(subject_id=self.posts[0].pk, slot=0).update(comments=F("comments") - 6)
        Counter.objects.filter(subject_id=self.comments[0].pk, slot=0).update(comments=1)

    def find_wrong(self) -> dict[str, list[int]]:
        """Return the ids of the site's users, posts and comments with wrong counts, by the name of the repair."""
        subjects: dict[type[Model], Sequence[Model]] = {User: self.users, Post: self.posts, Comment: self.comments}
        return {
            repair.name: sorted(repair.find_wrong([subject.pk for subject in subjects[repair.model]]))
            for repair in counter_repair.COUNTER_REPAIRS
        }
