"""Dashboard samples while another connection blocks a query."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from feeds.models import FanOut
from instafeed.backoffice.dashboard import sampling
from instafeed.backoffice.dashboard.panels import METRIC_NAMES

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def locked_table(name: str) -> Iterator[None]:
    """Keep all other connections from reading a table."""
    with psycopg.connect(os.environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]) as other:
        other.execute(f"LOCK TABLE {name}")
        yield


def with_more_time(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Give statements that nothing blocks more time: on a busy machine they may need it."""
    if FanOut._meta.db_table not in sql and "statement_timeout" not in sql:
        context["cursor"].cursor.execute("SET LOCAL statement_timeout = '60s'")
    return execute(sql, params, many, context)


@pytest.mark.usefixtures("fresh_probes")
def test_blocked_query_is_cancelled_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "STATEMENT_TIMEOUT", "1s")
    with locked_table(FanOut._meta.db_table), connection.execute_wrapper(with_more_time):
        values = sampling.measure(timezone.now())
    jobs = {name for name in METRIC_NAMES if name.startswith("jobs_")}  # one query counts the jobs of all kinds
    missing = {name for name, value in values.items() if value is None}
    assert missing == jobs | {"lag_p50", "lag_p99", "fan_outs_open", "fan_outs_dead"}
    assert values["posts"] == 0
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
