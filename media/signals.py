"""What media announce to the apps above. Sent inside the change's transaction, its owner's row locked."""

from django.dispatch import Signal

# media_ids: list[int]. Processed, failed or moved: whatever shows them is stale.
media_changed = Signal()
