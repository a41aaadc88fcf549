"""Bound the time that a Celery worker takes to quit, in any state of its pool.

Celery's cold shutdown waits for the pool without a time limit. A pool process that hangs, or dies in the middle of
a reply, then keeps the worker alive for ever: the worker itself holds the writing end of that process's pipe, so
end-of-file never arrives (see `_flush_outqueue` in celery/concurrency/asynpool.py). Docker kills a container after
its grace period, but nothing kills a worker whose supervisor died.
`test_worker_exits_although_a_pool_process_hangs` fails without this module.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Timer
from typing import Any

from celery import bootsteps

FORCED_EXIT_DELAY = 4.0  # seconds after the soft shutdown; the sum is below the containers' stop_grace_period of 15 s


class BoundedShutdown(bootsteps.StartStopStep):
    """Exit at the latest FORCED_EXIT_DELAY seconds after the soft shutdown that the first SIGQUIT begins."""

    def start(self, worker: Any) -> None:
        # Steps start after Celery has installed its own signal handlers.
        shut_down: Any = signal.getsignal(signal.SIGQUIT)
        pid, timeout = os.getpid(), worker.app.conf.worker_soft_shutdown_timeout + FORCED_EXIT_DELAY

        def on_sigquit(*args: Any) -> None:
            if os.getpid() == pid:  # pool processes inherit the handler
                timer = Timer(timeout, _force_exit, (timeout,))
                timer.daemon = True
                timer.start()
            shut_down(*args)

        signal.signal(signal.SIGQUIT, on_sigquit)


def _force_exit(timeout: float) -> None:
    """Exit at once. The pool dies with its worker (celery.py); its unacknowledged tasks run again."""
    print(f"instafeed: the worker did not end within {timeout:.0f} s of SIGQUIT: killed", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)
