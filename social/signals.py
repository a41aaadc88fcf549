"""What the social graph announces. Both are sent inside a transaction, after its rows changed.

A receiver that raises undoes the change, so receivers only write rows (an outbox) in the same database.
They are sent when something really changed, never for a call that was repeated.
"""

from django.dispatch import Signal

# viewer_ids: Iterable[int], the users whose view of others' posts changed: whoever began or ceased to
# follow, both sides of a block, whoever muted.
relations_changed = Signal()

# author_ids: Iterable[int], the users whose follower_count changed; it already has its new value. Not part of the
# follow's transaction: follows are added to the rows up to a second later (social.counter_rollup).
audience_changed = Signal()
