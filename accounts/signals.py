"""What accounts announces to the apps above it. Sent inside the change's transaction."""

from django.dispatch import Signal

# user_id: int. Before the transaction that may change is_private locks any row: receivers take their own
# locks first (social.services.locks), else the two could wait for each other.
privacy_changing = Signal()
# user_id: int, is_private: bool, its new value.
privacy_changed = Signal()
# user_id: int, is_active: bool, its new value: False on suspension, True when that is lifted.
access_changed = Signal()
