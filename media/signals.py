"""Signals for the apps above. Sent inside the change's transaction, while the owner's row is locked."""

from django.dispatch import Signal

# media_ids: list[int]. The pictures became ready, failed or moved, so cached posts that show them are stale.
# Received by posts.media_pending.
media_changed = Signal()
