"""A Celery worker that is told to end at once does so in time, whatever its pool is at.

Celery's cold shutdown waits for its pool without bound. A pool process that dies in the middle of an answer, or that
hangs, then keeps the worker for ever: its pipe's writing end is held by the worker too, so no end of file ever comes
(`_flush_outqueue` in celery/concurrency/asynpool.py says so). A container is killed when its grace is over; a worker
whose supervisor died is not.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Timer
from typing import Any

from celery import bootsteps

FORCED_EXIT_DELAY = 4.0  # seconds after the soft shutdown; together below the containers' stop_grace_period of 15 s


class BoundedShutdown(bootsteps.StartStopStep):
    """From the first SIGQUIT on, the worker has its soft shutdown's time and AFTERWARDS seconds more."""

    def start(self, worker: Any) -> None:
        # Steps start after Celery has set its own handlers.
        shut_down: Any = signal.getsignal(signal.SIGQUIT)
        pid, bound = os.getpid(), worker.app.conf.worker_soft_shutdown_timeout + FORCED_EXIT_DELAY

        def begin(*args: Any) -> None:
            if os.getpid() == pid:  # the pool's processes inherit the handler
                timer = Timer(bound, _force_exit, (bound,))
                timer.daemon = True
                timer.start()
            shut_down(*args)

        signal.signal(signal.SIGQUIT, begin)


def _force_exit(bound: float) -> None:
    """The pool is killed with its worker (celery.py); what it was at has not been acknowledged and is done again."""
    print(f"instafeed: the worker had not ended {bound:.0f} s after SIGQUIT: killed", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)
