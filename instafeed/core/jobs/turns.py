"""Fair turns: the jobs of one owner are claimed between those of others, however many the owner has.

A new job gets the turn after its owner's last one, or after the first turn of all waiting jobs. Workers claim by turn,
so each owner has about one job in a round, and a new owner joins the next round. A round accepts no new jobs once it
is the first, so jobs of late turns are reached too.

`due_at` still says from when a job can be claimed and since when it waits.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, models

from instafeed.core.db.advisory_locks import Lock, acquire

CLAIM_ORDER = ("turn", "pk")


class Turn(models.Model):
    """The columns of a leased job with a turn, whose row is deleted when the job ends.

    The model adds indexes on `turn` and its key, and on the owner and `turn`.
    """

    owner_id = models.BigIntegerField()
    turn = models.BigIntegerField()

    class Meta:
        abstract = True


def next_turn(model: type[Turn], owner_id: int, *, without: int | None = None) -> int:
    """Return the turn of a job of this owner. `without` is the key of the job itself, if it has a row already.

    Call it in the transaction that writes the turn: until its end, other jobs of the owner wait for theirs.
    """
    acquire(Lock(f"turn:{model._meta.db_table}:{owner_id}"))
    table, key = model._meta.db_table, model._meta.pk.column
    others = f"FROM {table} WHERE {key} IS DISTINCT FROM %(without)s"
    # Raw SQL: two reads of an index in one round trip. greatest() ignores the NULL of no rows.
    sql = f"""
        SELECT coalesce(greatest(
            (SELECT turn {others} ORDER BY turn, {key} LIMIT 1),
            (SELECT max(turn) {others} AND owner_id = %(owner)s)
        ), 0) + 1
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(sql, {"without": without, "owner": owner_id})
        return int(cursor.fetchone()[0])
