"""Save posts for later, and unsave them. Saves are private: they notify no one and are not counted."""

from __future__ import annotations

from django.db import transaction

from posts import viewer_flags
from posts.models import Save
from posts.services.row_locks import lock_post


@transaction.atomic
def save_post(user_id: int, post_id: int) -> None:
    """Save a post. Saving it again keeps its place in the list. Raises Http404 if the post no longer exists."""
    lock_post(post_id)
    Save.objects.bulk_create([Save(user_id=user_id, post_id=post_id)], ignore_conflicts=True)
    viewer_flags.invalidate_flags(user_id)


@transaction.atomic
def unsave_post(user_id: int, post_id: int) -> None:
    """Unsave a post; do nothing if it is not saved."""
    Save.objects.filter(user_id=user_id, post_id=post_id).delete()
    viewer_flags.invalidate_flags(user_id)
