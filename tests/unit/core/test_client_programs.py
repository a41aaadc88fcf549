"""The environment of PostgreSQL's client programs."""

from __future__ import annotations

from instafeed.core.db.client_programs import connection_environment


def test_url_becomes_variables_of_libpq() -> None:
    url = (
        "postgresql://me:p%40ss%2Fword@db.example.org:5433/feed?sslmode=verify-full&options=-c%20jit%3Doff&keepalives=1"
    )
    assert connection_environment(url) == {
        "PGHOST": "db.example.org",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "p@ss/word",
        "PGDATABASE": "feed",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c jit=off",
        "PGTARGETSESSIONATTRS": "primary",
    }


def test_url_may_choose_the_kind_of_server() -> None:
    environment = connection_environment("postgresql://a,b/feed?target_session_attrs=read-write")
    assert (environment["PGHOST"], environment["PGTARGETSESSIONATTRS"]) == ("a,b", "read-write")
