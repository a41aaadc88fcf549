"""The audit log is append-only in the database."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, connection, transaction

from accounts.audit import record
from accounts.models import AuditEntry
from tests.support.database_cleanup import empty_database
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditentry SET reason = 'none'",
        "DELETE FROM accounts_auditentry",
        "TRUNCATE accounts_auditentry",
    ],
)
def test_database_refuses_to_change_entries(statement: str) -> None:
    entry = record(UserFactory(username="mod"), "hide", "post", 5, user_id=7, reason="spam", after={"hidden": True})
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    again = AuditEntry.objects.get()
    assert (again.pk, again.actor_name, again.reason, again.after) == (entry.pk, "mod", "spam", {"hidden": True})


def test_suite_can_empty_the_log() -> None:
    record(UserFactory(), "hide", "post", 5, user_id=None)
    connection.check_constraints()  # a large table cannot be truncated while checks are pending
    empty_database()
    assert not AuditEntry.objects.exists()
