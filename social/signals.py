"""Signals of the social graph. Both are sent inside a transaction, after its rows have changed.

An exception in a receiver rolls the change back, so receivers only write rows (an outbox) in the same database.
A repeated call that changes nothing sends nothing. The receivers are in `feeds.receivers`.
"""

from django.dispatch import Signal

# viewer_ids: Iterable[int], the users whose home feed may have changed: the follower of a new or ended follow, the
# blocking and the muting user.
relations_changed = Signal()

# author_ids: Iterable[int], the users whose follower_count changed; it already has its new value. Not sent in the
# transaction of the follow: counts are rolled up some seconds later (social.counter_rollup).
audience_changed = Signal()
