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
from feeds.models import DeliveryMode, FanOut
from instafeed.core.db import bulk_load, snowflake
from instafeed.core.jobs.leased import JobState
from instafeed.core.management.base import Progress
from instafeed.demo import accounts, pictures, reports
from instafeed.demo.engagement import ENGAGED_POSTS, DemoPost, Engagement, HashtagIndex
from instafeed.demo.locales import CAPTIONS_PER_LOCALE, generate_captions
from instafeed.demo.network import DEMO_PERSON, Network, Recipe
from media.models import Media, Status
from posts.models import Post, PostHashtag, PostMedia
from social.models import Follow

POSTS_SPAN = timedelta(days=30)  # the posts' age
NEWEST_POST_AGE = timedelta(minutes=2)  # so that what is posted now comes first
POSTS_WITH_PICTURES = 200  # the newest posts; thousands of files would take longer than all the rest
FOLLOW_DAYS = 60  # follows are spread over so many days before the first post


class Loader:
    """Writes one network, step by step in the order of the methods, inside one transaction."""

    def __init__(self, recipe: Recipe, album: list[pictures.DemoPicture]) -> None:
        """`album`: the pictures to post."""
        self.recipe, self.album = recipe, album
        self.network = Network(recipe, settings.CELEBRITY_THRESHOLD)
        self.now = timezone.now()
        self.first_id = _reserve_user_ids(recipe.users)
        self._captions = generate_captions(recipe.seed)
        self._post_ids = array("q")
        self._caption_of = array("I")  # by post: the number of its language's list, times VARIETY, and in that
        self._newest: deque[DemoPost] = deque(maxlen=ENGAGED_POSTS)

    def load_follows(self, progress: Progress) -> None:
        bulk_load.copy_into(_table(Follow), ["follower_id", "followee_id", "created_at"], self._follow_rows(progress))

    def _follow_rows(self, progress: Progress) -> Iterator[str]:
        """All of a person's follows date from one day, so that their rows are one join: 20 million take 15 s."""
        first, last_day = self.first_id, (self.now - POSTS_SPAN).date()
        days = [(last_day - timedelta(days=ago)).isoformat() for ago in range(FOLLOW_DAYS)]
        for follower, followees in self.network.follows():
            if followees:
                head, tail = f"{first + follower}\t", f"\t{days[follower % FOLLOW_DAYS]}\n"
                yield head + (tail + head).join([str(first + followee) for followee in followees]) + tail
                progress.add(len(followees))

    def load_posts(self, progress: Progress) -> None:
        _copy_rows(Post, self._posts(progress))

    def _posts(self, progress: Progress) -> Iterator[dict[str, object]]:
        rng = Random(f"{self.recipe.seed}/words")
        start, span = self.now - POSTS_SPAN, POSTS_SPAN - NEWEST_POST_AGE
        for number, (author, moment) in enumerate(self.network.posts()):
            post_id = _id_at(start + moment * span, number)
            caption = author % len(self._captions) * CAPTIONS_PER_LOCALE + rng.randrange(CAPTIONS_PER_LOCALE)
            self._newest.append(DemoPost(post_id, author))
            self._post_ids.append(post_id)
            self._caption_of.append(caption)
            yield {
                "id": post_id,
                "author_id": self.first_id + author,
                "caption": self._caption(caption),
                "created_at": snowflake.timestamp_of_id(post_id),
            }
            progress.add()

    def _caption(self, number: int) -> str:
        return self._captions[number // CAPTIONS_PER_LOCALE][number % CAPTIONS_PER_LOCALE]

    def load_hashtags(self, progress: Progress) -> None:
        """The index of all posts by their tags."""
        tags = HashtagIndex({caption for ready in self._captions for caption in ready})
        _copy_rows(PostHashtag, _with_progress(tags.rows(self._captioned()), progress))

    def _captioned(self) -> Iterator[tuple[int, str]]:
        for post_id, caption in zip(self._post_ids, self._caption_of, strict=True):
            yield post_id, self._caption(caption)

    def load_engagement(self) -> None:
        """Likes and comments of the newest posts, and reports of some of them; after users and posts."""
        newest = list(self._newest)
        Engagement(newest, self.recipe.people, self.first_id, self.recipe.seed).load()
        reports.load_reports(newest[-POSTS_WITH_PICTURES:], self.recipe.people, self.first_id, self.recipe.seed)

    def load_users(self, progress: Progress) -> None:
        """After follows and posts, when all counts are known."""
        paths = self._store_avatars()
        _copy_rows(
            User, _with_progress(accounts.account_rows(self.network, self.first_id, self.now.date(), paths), progress)
        )
        accounts.add_staff_to_groups()

    def _store_avatars(self) -> dict[int, str]:
        """For the demo user and whom they follow."""
        faces = pictures.draw_avatars(self.recipe.seed)
        return {
            person: pictures.store_avatar(faces[number % len(faces)], f"{self.recipe.seed}/avatar/{number}")
            for number, person in enumerate([DEMO_PERSON, *self.network.demo_followees])
        }

    def load_fan_outs(self) -> None:
        """The ledger: everything is delivered, pulled from celebrities and pushed by all others."""
        columns = ["post_id", "author_id", "mode", "state", "due_at", "created_at", "finished_at"]
        fixed = bulk_load.default_values(FanOut, given=columns)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {_table(FanOut)} ({', '.join([*columns, *fixed])})"  # noqa: S608 - our names
                " SELECT p.id, p.author_id, CASE u.celebrity_state WHEN %s THEN %s ELSE %s END, %s,"
                f" p.created_at, p.created_at, p.created_at{', %s' * len(fixed)}"
                f" FROM {_table(Post)} p JOIN {_table(User)} u ON u.id = p.author_id ORDER BY p.id",
                [CelebrityState.CELEBRITY, DeliveryMode.PULL, DeliveryMode.PUSH, JobState.DONE, *fixed.values()],
            )

    def load_pictures(self, progress: Progress) -> None:
        """One to three for each of the newest posts."""
        rng = Random(f"{self.recipe.seed}/albums")
        media, places = [], []
        newest = list(self._newest)[-POSTS_WITH_PICTURES:]
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
                key = pictures.store_picture(
                    picture, f"{self.recipe.seed}/post/{number}/{position}", is_public=is_public
                )
                id_ = _id_at(snowflake.timestamp_of_id(post_id) - timedelta(seconds=30), 4 * number + position)
                media.append(_ready_media(picture, id=id_, owner_id=owner_id, key=key, is_public=is_public))
                places.append(PostMedia(post_id=post_id, position=position, media_id=id_))
            progress.add()
        Media.objects.bulk_create(media)
        PostMedia.objects.bulk_create(places)


def _ready_media(picture: pictures.DemoPicture, *, id: int, **fields: Any) -> Media:
    made = {"width": picture.width, "height": picture.height, "blurhash": picture.blurhash}
    made |= {"variants": picture.variants, "created_at": snowflake.timestamp_of_id(id)}
    return Media(id=id, status=Status.READY, is_attached=True, **made, **fields)


def _copy_rows(model: type[models.Model], rows: Iterator[dict[str, object]]) -> None:
    """COPY rows that all have the columns of the first one; the model's defaults fill the others."""
    first = next(rows, None)
    if first is None:
        return
    fixed = bulk_load.default_values(model, given=first)
    tail = "".join(f"\t{bulk_load.format_value(value)}" for value in fixed.values()) + "\n"

    def lines() -> Iterator[str]:
        yield "\t".join(map(bulk_load.format_value, first.values())) + tail
        for row in rows:
            yield "\t".join([bulk_load.format_value(row[column]) for column in first]) + tail

    bulk_load.copy_into(_table(model), [*first, *fixed], lines())


def _with_progress(rows: Iterable[dict[str, object]], progress: Progress) -> Iterator[dict[str, object]]:
    for row in rows:
        yield row
        progress.add()


def _id_at(moment: datetime, number: int) -> int:
    """What `instafeed_id_at` would give, with the caller's own sequence: unique for 16,384 numbers a millisecond."""
    return snowflake.first_id_at(moment) | number % 2**14


def _reserve_user_ids(count: int) -> int:
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
