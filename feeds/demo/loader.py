"""The demo network into an empty database: one transaction of COPY, so that there is all of it or nothing.

Rows are streamed in the order in which their numbers become known: follows, posts, then the accounts with
their exact counts, then what hangs on those. Nothing is held in memory but a few counts a person.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from accounts.models import CelebrityState, User
from feeds.demo import accounts, complaints, pictures
from feeds.demo.engagement import LIVELY, Engagement, Tags, Written
from feeds.demo.network import DEMO, Network, Recipe
from feeds.demo.voices import VARIETY, captions
from feeds.models import FanOut, Mode, State
from instafeed import bulk, ids
from instafeed.commands import Progress
from media.models import Media, Status
from posts.models import Post, PostHashtag, PostMedia
from social.models import Follow

SPAN = timedelta(days=30)  # the posts' age
NEWEST = timedelta(minutes=2)  # so that what is posted now comes first
WITH_PICTURES = 200  # the newest posts; thousands of files would take longer than all the rest
FOLLOW_DAYS = 60  # follows are spread over so many days before the first post


class Loader:
    """Writes one network, step by step in the order of the methods, inside one transaction."""

    def __init__(self, recipe: Recipe, album: list[pictures.Picture]) -> None:
        """`album`: the pictures to post."""
        self.recipe, self.album = recipe, album
        self.network = Network(recipe, settings.CELEBRITY_THRESHOLD)
        self.now = timezone.now()
        self.first_id = _reserve_ids(recipe.users)
        self._captions = captions(recipe.seed)
        self._post_ids = array("q")
        self._caption_of = array("I")  # by post: the number of its language's list, times VARIETY, and in that
        self._newest: deque[Written] = deque(maxlen=LIVELY)

    def load_follows(self, progress: Progress) -> None:
        bulk.copy_into(_table(Follow), ["follower_id", "followee_id", "created_at"], self._follow_rows(progress))

    def _follow_rows(self, progress: Progress) -> Iterator[str]:
        """All of a person's follows date from one day, so that their rows are one join: 20 million take 15 s."""
        first, last_day = self.first_id, (self.now - SPAN).date()
        days = [(last_day - timedelta(days=ago)).isoformat() for ago in range(FOLLOW_DAYS)]
        for follower, followees in self.network.follows():
            if followees:
                head, tail = f"{first + follower}\t", f"\t{days[follower % FOLLOW_DAYS]}\n"
                yield head + (tail + head).join([str(first + followee) for followee in followees]) + tail
                progress.add(len(followees))

    def load_posts(self, progress: Progress) -> None:
        _copy(Post, self._posts(progress))

    def _posts(self, progress: Progress) -> Iterator[dict[str, object]]:
        rng = Random(f"{self.recipe.seed}/words")
        start, span = self.now - SPAN, SPAN - NEWEST
        for number, (author, moment) in enumerate(self.network.posts()):
            post_id = _id_at(start + moment * span, number)
            caption = author % len(self._captions) * VARIETY + rng.randrange(VARIETY)
            self._newest.append(Written(post_id, author))
            self._post_ids.append(post_id)
            self._caption_of.append(caption)
            yield {
                "id": post_id,
                "author_id": self.first_id + author,
                "caption": self._caption(caption),
                "created_at": ids.moment_of(post_id),
            }
            progress.add()

    def _caption(self, number: int) -> str:
        return self._captions[number // VARIETY][number % VARIETY]

    def load_hashtags(self, progress: Progress) -> None:
        """The index of all posts by their tags."""
        tags = Tags({caption for ready in self._captions for caption in ready})
        _copy(PostHashtag, _counted(tags.rows(self._captioned()), progress))

    def _captioned(self) -> Iterator[tuple[int, str]]:
        for post_id, caption in zip(self._post_ids, self._caption_of, strict=True):
            yield post_id, self._caption(caption)

    def load_engagement(self) -> None:
        """Likes and comments of the newest posts, and reports of some of them; after users and posts."""
        newest = list(self._newest)
        Engagement(newest, self.recipe.people, self.first_id, self.recipe.seed).load()
        complaints.load(newest[-WITH_PICTURES:], self.recipe.people, self.first_id, self.recipe.seed)

    def load_users(self, progress: Progress) -> None:
        """After follows and posts, when all counts are known."""
        paths = self._store_avatars()
        _copy(User, _counted(accounts.rows(self.network, self.first_id, self.now.date(), paths), progress))
        accounts.join_groups()

    def _store_avatars(self) -> dict[int, str]:
        """For the demo user and whom they follow."""
        faces = pictures.avatars(self.recipe.seed)
        return {
            person: pictures.store_avatar(faces[number % len(faces)], f"{self.recipe.seed}/avatar/{number}")
            for number, person in enumerate([DEMO, *self.network.demo_followees])
        }

    def load_fan_outs(self) -> None:
        """The ledger: everything is delivered, pulled from celebrities and pushed by all others."""
        columns = ["post_id", "author_id", "mode", "state", "due_at", "created_at", "finished_at"]
        fixed = bulk.defaults(FanOut, given=columns)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {_table(FanOut)} ({', '.join([*columns, *fixed])})"  # noqa: S608 - our names
                " SELECT p.id, p.author_id, CASE u.celebrity_state WHEN %s THEN %s ELSE %s END, %s,"
                f" p.created_at, p.created_at, p.created_at{', %s' * len(fixed)}"
                f" FROM {_table(Post)} p JOIN {_table(User)} u ON u.id = p.author_id ORDER BY p.id",
                [CelebrityState.CELEBRITY, Mode.PULL, Mode.PUSH, State.DONE, *fixed.values()],
            )

    def load_pictures(self, progress: Progress) -> None:
        """One to three for each of the newest posts."""
        rng = Random(f"{self.recipe.seed}/albums")
        media, places = [], []
        newest = list(self._newest)[-WITH_PICTURES:]
        private = set(
            User.objects.filter(pk__in={self.first_id + post.author for post in newest}, is_private=True).values_list(
                "pk", flat=True
            )
        )
        for number, post in enumerate(newest):
            post_id, author = post.id, post.author
            for position in range(rng.choice((1, 1, 1, 2, 3)) if self.album else 0):
                picture = rng.choice(self.album)
                owner_id = self.first_id + author
                is_public = owner_id not in private
                key = pictures.store(picture, f"{self.recipe.seed}/post/{number}/{position}", is_public=is_public)
                id_ = _id_at(ids.moment_of(post_id) - timedelta(seconds=30), 4 * number + position)
                media.append(_ready(picture, id=id_, owner_id=owner_id, key=key, is_public=is_public))
                places.append(PostMedia(post_id=post_id, position=position, media_id=id_))
            progress.add()
        Media.objects.bulk_create(media)
        PostMedia.objects.bulk_create(places)


def _ready(picture: pictures.Picture, *, id: int, **fields: Any) -> Media:
    made = {"width": picture.width, "height": picture.height, "blurhash": picture.blurhash}
    made |= {"variants": picture.variants, "created_at": ids.moment_of(id)}
    return Media(id=id, status=Status.READY, is_attached=True, **made, **fields)


def _copy(model: type[models.Model], rows: Iterator[dict[str, object]]) -> None:
    """COPY rows that all have the columns of the first one; the model's defaults fill the others."""
    first = next(rows, None)
    if first is None:
        return
    fixed = bulk.defaults(model, given=first)
    tail = "".join(f"\t{bulk.literal(value)}" for value in fixed.values()) + "\n"

    def lines() -> Iterator[str]:
        yield "\t".join(map(bulk.literal, first.values())) + tail
        for row in rows:
            yield "\t".join([bulk.literal(row[column]) for column in first]) + tail

    bulk.copy_into(_table(model), [*first, *fixed], lines())


def _counted(rows: Iterable[dict[str, object]], progress: Progress) -> Iterator[dict[str, object]]:
    for row in rows:
        yield row
        progress.add()


def _id_at(moment: datetime, number: int) -> int:
    """What `instafeed_id_at` would give, with the caller's own sequence: unique for 16,384 numbers a millisecond."""
    return ids.first_id_at(moment) | number % 2**14


def _reserve_ids(count: int) -> int:
    """The first of `count` consecutive user ids. The caller holds the table, so nobody draws one in between."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [_table(User)])
        (sequence,) = cursor.fetchone()
        cursor.execute("SELECT nextval(%s)", [sequence])
        (first,) = cursor.fetchone()
        cursor.execute("SELECT setval(%s, %s)", [sequence, first + count - 1])
    return int(first)


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table
