"""The followers of an author in keyset pages: what fan-out walks along."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS

from social.models import Follow


def page(author_id: int, after: int, limit: int) -> list[int]:
    """Up to `limit` ids of followers above `after`, ascending; begin with 0, end on a short page.

    Everyone who follows throughout the walk is met exactly once, whoever comes and goes meanwhile. Reads the
    primary: a replica might not have the follower yet who is owed this post. The primary key has this
    very order, so a page is one index-only range scan whatever the size of the audience.
    """
    followers = Follow.objects.using(DEFAULT_DB_ALIAS).filter(followee_id=author_id, follower_id__gt=after)
    return list(followers.order_by("follower_id").values_list("follower_id", flat=True)[:limit])
