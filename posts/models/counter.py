"""The number of likes and comments of a post or comment, as a slotted counter.

With one row per post, concurrent likes would wait for each other's row lock. Instead each writer changes one of a few
rows ("slots") at random, and readers sum the slots. The slot changes in the transaction that adds or removes the like,
so the sum is always exact.
"""

from __future__ import annotations

from django.db import models


class Counter(models.Model):
    pk = models.CompositePrimaryKey("subject_id", "slot")
    # The id of a post or a comment. Both draw ids from one sequence, so they never collide, but no foreign key is
    # possible. Code that deletes a subject also deletes its counter.
    subject_id = models.BigIntegerField()
    slot = models.PositiveSmallIntegerField()
    likes = models.IntegerField(default=0, db_default=0)  # one slot may be negative, the sum never is
    comments = models.IntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"slot {self.slot} of {self.subject_id}"
