"""The database router: a query goes to a replica only if the replica provably has all the rows it needs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import Model

from instafeed.core.db.replicas import read_your_writes
from instafeed.core.db.replicas import session as sessions
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.db.replicas.session import Session
from instafeed.core.observability.metrics import DB_READS

PRIMARY = "default"
_primary_reads, _replica_reads = DB_READS.labels("primary"), DB_READS.labels("replica")


class ReplicaRouter:
    """Route all reads of a request to one replica, chosen at its first read.

    A request without SQL asks neither Redis nor a replica for anything.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        session = sessions.current_session()
        alias = self._alias_for_read(session)
        if session is not None:
            (_primary_reads if alias == PRIMARY else _replica_reads).inc()
        return alias

    def _alias_for_read(self, session: Session | None) -> str:
        if session is None or session.on_primary or session.forced:
            return PRIMARY
        # Inside a transaction a read must see what the transaction wrote and locked.
        if connections[PRIMARY].in_atomic_block:
            return PRIMARY
        if session.choice is None:
            session.choice = read_your_writes.choose_replica(session) or PRIMARY
        if session.choice == PRIMARY:
            return PRIMARY
        if session.before is not None and not monitor.holds_all_before(session.choice, session.before):
            return PRIMARY
        return session.choice

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Return the primary. Django also calls this for `select_for_update`."""
        sessions.mark_written()
        return PRIMARY

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return True  # the aliases are copies of one database

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db not in settings.REPLICA_ALIASES
