"""Insert users, follows, posts and pictures in bulk, without signals and fan-outs; and warm timelines in Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from django.db import connection
from django.utils import timezone

from accounts.models import CelebrityState, User
from feeds import timeline_store
from feeds.timeline_store import Timeline
from instafeed.core.cache import commands, keys
from instafeed.core.db import snowflake
from media.models import Media, Status
from posts.models import Post, PostMedia
from social.models import Follow

VARIANTS = {
    str(size): {"name": f"{size}.webp", "width": size * 4 // 5, "height": size} for size in (150, 320, 640, 1080)
}
BATCH_SIZE = 5_000  # rows per INSERT
CAPTION = "Sunday light over the old harbour, coffee in hand and nowhere to be. Thanks for walking along, all of you!"
NEWEST_POST_AGE = timedelta(minutes=1)
POST_INTERVAL = timedelta(minutes=3)  # between two posts


_EXPECTED_SQL = """
SELECT post.id FROM posts_post AS post
WHERE post.id < %s AND post.author_id IN (SELECT followee_id FROM social_follow WHERE follower_id = %s)
ORDER BY post.id DESC LIMIT %s
"""


def create_users(name: str, count: int, *, celebrity: bool = False) -> list[User]:
    """Create `count` users named `name0`, `name1`, …"""
    state = CelebrityState.CELEBRITY if celebrity else CelebrityState.ORDINARY
    return User.objects.bulk_create(
        [
            User(
                username=f"{name}{number}",
                display_name=f"{name.title()} number {number}",
                password="!",
                celebrity_state=state,
                celebrity_pin=celebrity or None,
            )
            for number in range(count)
        ],
        batch_size=BATCH_SIZE,
    )


def create_follows(edges: Iterable[tuple[User, User]]) -> None:
    """Create follows from (follower, followee) pairs, and update the followees' counts."""
    rows = [Follow(follower=follower, followee=followee) for follower, followee in edges]
    Follow.objects.bulk_create(rows, batch_size=BATCH_SIZE)
    followees: dict[int, User] = {row.followee_id: row.followee for row in rows}
    for row in rows:
        followees[row.followee_id].follower_count += 1
    User.objects.bulk_update(followees.values(), ["follower_count"], batch_size=BATCH_SIZE)


def create_posts(authors: Sequence[User], count: int, rng: Random, *, every: timedelta = POST_INTERVAL) -> list[int]:
    """Create `count` posts of random authors, each with a caption and a picture. Return the ids, oldest first.

    The newest post is `NEWEST_POST_AGE` old; the time between two posts is `every`.
    """
    newest = timezone.now() - NEWEST_POST_AGE
    written = [
        Post(
            id=snowflake.first_id_at(newest - every * (count - number)) | number % 2**14,
            author=rng.choice(authors),
            caption=f"{CAPTION} ({number})",
        )
        for number in range(count)
    ]
    pictures = [
        # A millisecond before its post.
        _ready_picture(post.pk - 2**snowflake.TIME_SHIFT, post.author_id, f"{post.pk:040d}", is_attached=True)
        for post in written
    ]
    places = [PostMedia(post=post, position=0, media=media) for post, media in zip(written, pictures, strict=True)]
    Post.objects.bulk_create(written, batch_size=BATCH_SIZE)
    Media.objects.bulk_create(pictures, batch_size=BATCH_SIZE)
    PostMedia.objects.bulk_create(places, batch_size=BATCH_SIZE)
    return [post.pk for post in written]


def create_pictures(owner_ids: Sequence[int]) -> list[int]:
    """Create a processed picture that is in no post for each of these owners. Return the ids."""
    pictures = [
        _ready_picture(media_id, owner_id, f"{media_id:040d}", is_attached=False)
        for media_id, owner_id in zip(snowflake.next_ids(len(owner_ids)), owner_ids, strict=True)
    ]
    Media.objects.bulk_create(pictures, batch_size=BATCH_SIZE)
    return [picture.pk for picture in pictures]


def _ready_picture(media_id: int, owner_id: int, key: str, *, is_attached: bool) -> Media:
    return Media(
        id=media_id,
        owner_id=owner_id,
        status=Status.READY,
        is_public=True,
        is_attached=is_attached,
        key=key,
        variants=VARIANTS,
        blurhash="LEHV6nWB2yk8pyo0adR*.7kCMdnj",
        width=1080,
        height=1350,
        alt_text="Boats at a quay in the evening sun",
    )


def warm_home_timelines(viewers: Iterable[User]) -> None:
    """Give these users an empty home timeline in Redis, as a read of a feed without posts does."""
    for viewer in viewers:
        store_timeline(keys.home_timeline(viewer.pk), Timeline([], floor=0))


def store_timeline(key: str, timeline: Timeline) -> None:
    """Store a cold timeline in Redis, as a rebuild does."""
    token = secrets.token_hex(8)
    begun, finished = commands.run_unguarded(
        [
            timeline_store.begin_rebuild_command(key, token),
            timeline_store.finish_rebuild_command(key, token, timeline),
        ]
    )
    assert begun, "the timeline is cold"
    assert finished


def expected_post_ids(viewer_id: int, before: int, count: int) -> list[int]:
    """Query directly from the tables which posts below an id a viewer's feed has, if nothing is hidden or muted."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPECTED_SQL, [before, viewer_id, count])
        return [row[0] for row in cursor.fetchall()]
