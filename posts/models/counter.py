"""How many likes and comments a post or a comment has, spread over several rows.

One row a post would be locked by everybody who likes it, one after the other. Each writer adds to one of a
few rows ("slots") at random instead, and readers add the slots up. The rows change in the transaction that
adds or removes the like, so their sum is never wrong. (The slotted counter pattern.)
"""

from __future__ import annotations

from django.db import models


class Counter(models.Model):
    pk = models.CompositePrimaryKey("subject_id", "slot")
    # A post's or a comment's id: both are drawn from one sequence, so there can be no foreign key. What deletes
    # the subject deletes its counter, too.
    subject_id = models.BigIntegerField()
    slot = models.PositiveSmallIntegerField()
    likes = models.IntegerField(default=0, db_default=0)  # a slot may be negative, the sum is not
    comments = models.IntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"slot {self.slot} of {self.subject_id}"
