"""The workers' tasks share PostgreSQL connections, and replace those that have ended."""

from __future__ import annotations

from tests.support.eventually import eventually
from tests.support.live_stack import LiveStack

# The last statement of `sweep_jobs`, which beat sends every five seconds.
_IDLE_AFTER_TASK_SQL = """
SELECT pid FROM pg_stat_activity WHERE state = 'idle' AND query LIKE '%FROM "feeds_missedbucket" LIMIT 1'
"""


def test_tasks_share_connections_and_replace_those_that_have_ended(live_stack: LiveStack) -> None:
    # As the cluster's owner: other users do not see what a session runs.
    with live_stack.services.primary.connect() as connection:

        def idle_after_task() -> set[int]:
            return {pid for (pid,) in connection.execute(_IDLE_AFTER_TASK_SQL)}

        def end_idle_connections() -> set[int]:
            """End them while the worker stands still, so that it does not use one just then."""
            with live_stack.paused("worker"):
                connection.execute("SELECT pg_sleep(0.5)")  # what the worker has sent is executed
                ended = idle_after_task()
                for pid in ended:
                    connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            return ended

        log_so_far = len(live_stack.log("worker").read_text())  # earlier tests may have paused PostgreSQL
        ended: set[int] = set()

        def have_some_ended() -> bool:
            if idle_after_task():
                ended.update(end_idle_connections())
            return bool(ended)

        eventually(have_some_ended)
        eventually(lambda: idle_after_task() - ended)
    assert "OperationalError" not in live_stack.log("worker").read_text()[log_so_far:]
