"""Tables that are filled without their indexes have all of them again afterwards."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from instafeed.core.db.bulk_load import without_indexes
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db

SCHEMA_SQL = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u', 'c', 'f')
UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %(table)s
"""


def read_schema(table: str) -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA_SQL, {"table": table})
        return set(cursor.fetchall())


@pytest.mark.parametrize(("table", "keep_keys"), [("social_follow", False), ("accounts_user", True)])
def test_rebuilds_all_indexes_and_constraints(table: str, keep_keys: bool) -> None:
    before = read_schema(table)
    with transaction.atomic(), without_indexes(table, keep_keys=keep_keys):
        assert read_schema(table) < before
    assert read_schema(table) == before


def test_kept_keys_refuse_duplicates() -> None:
    user = UserFactory(username="ada")
    with (
        transaction.atomic(),
        without_indexes("accounts_user", keep_keys=True),
        pytest.raises(IntegrityError),
        transaction.atomic(),
    ):
        UserFactory(username="ada")
    assert User.objects.get() == user
