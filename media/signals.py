"""Signals for the apps above. Sent inside the change's transaction, while the owner's row is locked."""

from django.dispatch import Signal

# media_ids: list[int]. The pictures became ready, failed or moved, so cached posts that show them are stale.
# Received by posts.media_pending.
media_changed = Signal()
# media_ids: list[int]. The alt texts changed, so cached posts that show the pictures are stale. The owner's row is not
# locked. Received by posts.post_cache.
alt_text_changed = Signal()
