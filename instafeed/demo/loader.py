"""Write the demo network into a database without other users than staff, with COPY and in one transaction.

Rows are streamed in the order in which their counts become known: follows, posts, accounts with exact counts, then all
that refers to these. Memory holds only a few numbers per person and post.
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

POSTS_SPAN = timedelta(days=30)  # the maximum age of posts
NEWEST_POST_AGE = timedelta(minutes=2)  # so that new posts appear first
POSTS_WITH_PICTURES = 200  # the newest ones; thousands of files would take longer than everything else
FOLLOW_DAYS = 60  # days before the first post, over which follows are spread


class Loader:
    """Writes one network inside one transaction. Call the methods in their order."""

    def __init__(self, recipe: Recipe, album: list[pictures.DemoPicture]) -> None:
        """`album` holds the pictures to post."""
        self.recipe, self.album = recipe, album
        self.network = Network(recipe, settings.CELEBRITY_THRESHOLD)
        self.now = timezone.now()
        self.first_id = _reserve_user_ids(recipe.users)
        self.staff = accounts.missing_staff()
        self._captions = generate_captions(recipe.seed)
        self._post_ids = array("q")
        self._caption_of = array("I")  # by post: locale slot * CAPTIONS_PER_LOCALE + caption number
        self._newest: deque[DemoPost] = deque(maxlen=ENGAGED_POSTS)

    def load_follows(self, progress: Progress) -> None:
        bulk_load.copy_into(_table(Follow), ["follower_id", "followee_id", "created_at"], self._follow_rows(progress))

    def _follow_rows(self, progress: Progress) -> Iterator[str]:
        """Yield one text per follower. Its follows have the same date, so str.join builds 20 million in 15 s."""
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
        """Index all posts by their hashtags."""
        tags = HashtagIndex({caption for captions in self._captions for caption in captions})
        posts = zip(self._post_ids, map(self._caption, self._caption_of), strict=True)
        _copy_rows(PostHashtag, _with_progress(tags.rows(posts), progress))

    def load_engagement(self) -> None:
        """Write likes and comments of the newest posts, and reports of some of them. Users and posts must exist."""
        newest = list(self._newest)
        Engagement(newest, self.recipe.people, self.first_id, self.recipe.seed).load()
        reports.load_reports(newest[-POSTS_WITH_PICTURES:], self.recipe.people, self.first_id, self.recipe.seed)

    def load_users(self, progress: Progress) -> None:
        """Write the accounts. Follows and posts must be written before, so that all counts are known."""
        paths = self._store_avatars()
        rows = accounts.account_rows(self.network, self.first_id, self.now.date(), paths, self.staff)
        _copy_rows(User, _with_progress(rows, progress))
        accounts.add_staff_to_groups(self.staff)

    def _store_avatars(self) -> dict[int, str]:
        """Store avatars for the demo user and the people that they follow; return paths by person."""
        faces = pictures.draw_avatars(self.recipe.seed)
        return {
            person: pictures.store_avatar(faces[number % len(faces)], f"{self.recipe.seed}/avatar/{number}")
            for number, person in enumerate([DEMO_PERSON, *self.network.demo_followees])
        }

    def load_fan_outs(self) -> None:
        """Write the fan-out outbox: all posts are delivered, celebrities' by pull and all others by push."""
        columns = ["post_id", "author_id", "mode", "state", "due_at", "created_at", "finished_at"]
        fixed = bulk_load.default_values(FanOut, given=columns)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {_table(FanOut)} ({', '.join([*columns, *fixed])})"  # noqa: S608 - all names are constants
                " SELECT p.id, p.author_id, CASE u.celebrity_state WHEN %s THEN %s ELSE %s END, %s,"
                f" p.created_at, p.created_at, p.created_at{', %s' * len(fixed)}"
                f" FROM {_table(Post)} p JOIN {_table(User)} u ON u.id = p.author_id ORDER BY p.id",
                [CelebrityState.CELEBRITY, DeliveryMode.PULL, DeliveryMode.PUSH, JobState.DONE, *fixed.values()],
            )

    def load_pictures(self, progress: Progress) -> None:
        """Attach one to three pictures to each of the newest posts."""
        rng = Random(f"{self.recipe.seed}/albums")
        media, post_media = [], []
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
                post_media.append(PostMedia(post_id=post_id, position=position, media_id=id_))
            progress.add()
        Media.objects.bulk_create(media)
        PostMedia.objects.bulk_create(post_media)


def _ready_media(picture: pictures.DemoPicture, *, id: int, **fields: Any) -> Media:
    fields |= {"width": picture.width, "height": picture.height, "blurhash": picture.blurhash}
    fields |= {"variants": picture.variants, "created_at": snowflake.timestamp_of_id(id)}
    return Media(id=id, status=Status.READY, is_attached=True, **fields)


def _copy_rows(model: type[models.Model], rows: Iterator[dict[str, object]]) -> None:
    """COPY rows with the columns of the first row; the model's defaults fill the other columns."""
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
    """Return an id like the SQL function `instafeed_id_at`, with the given sequence number (16,384 per millisecond)."""
    return snowflake.first_id_at(moment) | number % 2**14


def _reserve_user_ids(count: int) -> int:
    """Reserve `count` consecutive user ids and return the first. The caller must have locked the user table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [_table(User)])
        (sequence,) = cursor.fetchone()
        cursor.execute("SELECT nextval(%s)", [sequence])
        (first,) = cursor.fetchone()
        cursor.execute("SELECT setval(%s, %s)", [sequence, first + count - 1])
    return int(first)


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table
