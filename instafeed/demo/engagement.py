"""Likes, comments and hashtags of the demo network, with exact counts.

All posts are in the hashtag index. Only the newest posts have likes and comments, with a heavy-tailed distribution. The
demo user receives notifications for own_posts.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from instafeed.core.db import snowflake
from instafeed.demo.locales import locale_of
from instafeed.demo.network import DEMO_PERSON
from posts import entities
from posts.models import Comment, Counter, Hashtag, Like
from social import notifications
from social.notifications import Event

ENGAGED_POSTS = 2_000  # the newest posts get likes and comments
MAX_LIKES = 300  # per post
MAX_COMMENTS = 8  # per post


@dataclass(frozen=True, slots=True)
class DemoPost:
    """A post of the network; `author` is a person's number, not an id."""

    id: int
    author: int


class Engagement:
    """Likes and comments on `posts`, by people whose ids begin at `first_id`."""

    def __init__(self, posts: Sequence[DemoPost], people: int, first_id: int, seed: int) -> None:
        self.posts, self.people, self.first_id, self.seed = posts, people, first_id, seed

    def load(self) -> None:
        """Write likes, comments, counters and notifications. Must run in the loader's transaction."""
        likes, comments = self._likes(), self._comments()
        Like.objects.bulk_create(likes, batch_size=5_000)
        Comment.objects.bulk_create(comments, batch_size=5_000)
        liked, commented = Tally(like.post_id for like in likes), Tally(comment.post_id for comment in comments)
        Counter.objects.bulk_create(
            Counter(subject_id=id_, slot=0, likes=liked[id_], comments=commented[id_])
            for id_ in liked.keys() | commented.keys()
        )
        self._notify_demo_user(likes, comments)

    def _likes(self) -> list[Like]:
        rng = Random(f"{self.seed}/likes")
        limit = min(MAX_LIKES, self.people // 2)
        likes = []
        for post in self.posts:
            count = min(int(rng.paretovariate(0.9)) - 1, limit)
            fans = rng.sample(range(self.people), count)
            likes += [Like(post_id=post.id, user_id=self.first_id + fan) for fan in fans]
        return likes

    def _comments(self) -> list[Comment]:
        rng = Random(f"{self.seed}/comments")
        comments = []
        for post in self.posts:
            for _ in range(min(int(rng.paretovariate(1.3)) - 1, MAX_COMMENTS)):
                person = rng.randrange(self.people)
                words = rng.choice(locale_of(person)[0].endings)
                comments.append(Comment(post_id=post.id, author_id=self.first_id + person, text=words))
        for comment, id_ in zip(comments, snowflake.next_ids(len(comments)), strict=True):
            comment.id = id_
        return comments

    def _notify_demo_user(self, likes: Iterable[Like], comments: Iterable[Comment]) -> None:
        demo = self.first_id + DEMO_PERSON
        own_posts = {post.id for post in self.posts if post.author == DEMO_PERSON}
        events = [Event("like", demo, like.user_id, like.post_id) for like in likes if like.post_id in own_posts]
        events += [
            Event("comment", demo, comment.author_id, comment.post_id, comment.pk)
            for comment in comments
            if comment.post_id in own_posts
        ]
        notifications.announce(*events)


class HashtagIndex:
    """Hashtag ids by caption. Captions repeat, so each is parsed once."""

    def __init__(self, captions: Iterable[str]) -> None:
        by_caption = {caption: entities.extract_folded_hashtags(caption) for caption in captions}
        names = sorted({name for tags in by_caption.values() for name in tags})
        Hashtag.objects.bulk_create([Hashtag(name=name) for name in names], ignore_conflicts=True)
        id_of = dict(Hashtag.objects.filter(name__in=names).values_list("name", "pk"))
        self._ids = {caption: [id_of[name] for name in tags] for caption, tags in by_caption.items()}

    def rows(self, posts: Iterable[tuple[int, str]]) -> Iterator[dict[str, object]]:
        """Yield the rows of PostHashtag for (post id, caption) pairs."""
        for post_id, caption in posts:
            for tag_id in self._ids[caption]:
                yield {"hashtag_id": tag_id, "post_id": post_id}
