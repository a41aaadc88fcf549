"""gunicorn's settings: `python -m gunicorn -c deploy/gunicorn.conf.py instafeed.wsgi`.

Read from the environment: PORT, WEB_BIND, WEB_WORKERS, WEB_THREADS.
"""

import gc
import os
import resource
from importlib import import_module
from typing import Any

from django.conf import settings

from instafeed.core import deployment_checks, env
from instafeed.core.http import gunicorn_worker
from instafeed.core.observability import logging_config, metrics, multiprocess_files
from instafeed.core.process import hide_memory

# Only web servers have a connection pool and bounded statements: commands and workers run long statements, too.
os.environ.setdefault("DATABASE_POOL", "true")

bind = f"{env.text('WEB_BIND', '127.0.0.1')}:{env.integer('PORT', 8000, minimum=1, maximum=65535)}"

# Processes use the cores; threads wait for PostgreSQL and Redis. There are more threads than pooled connections:
# requests that need no SQL are answered even while every connection waits for a frozen PostgreSQL.
worker_class = "instafeed.core.http.gunicorn_worker.GunicornWorker"  # gthread, with errors in the API's format
workers = env.integer("WEB_WORKERS", max(2, os.cpu_count() or 1), minimum=1, maximum=256, computed=True)
_pool = env.integer("DATABASE_POOL_SIZE", 8, minimum=1, maximum=200)
threads = env.integer("WEB_THREADS", _pool + 4, minimum=1, maximum=200, computed=True)

# Not preloaded: connection pools and their threads must start after the fork, and a reload (SIGHUP) must load new code.
preload_app = False

# Far more than can be answered in the two seconds that a request may wait, so that none waits unseen in the kernel.
worker_connections = 5000
_, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_most_files, worker_connections + 1000), _most_files))
backlog = 4096

timeout = 60  # seconds without a heartbeat; with threads this limits the process, not a request
graceful_timeout = 10  # seconds for running requests when a worker stops
keepalive = 75  # seconds; above the usual 60 of load balancers, which then close first
max_requests = 0  # workers are not recycled

# In memory, as the heartbeat file must not wait for a disk.
if os.path.isdir("/dev/shm"):  # noqa: S108
    worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True

limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
forwarded_allow_ips = "127.0.0.1,::1"
forwarder_headers = ""  # SCRIPT_NAME may not be set by a header: an invalid one causes a 500

logger_class = "instafeed.core.http.gunicorn_worker.GunicornLogger"
accesslog = None  # instafeed.core.http.request_log logs requests
errorlog = "-"
loglevel = env.choice("LOG_LEVEL", "INFO", logging_config.LEVELS).lower()
proc_name = "instafeed-web"


def post_worker_init(worker: Any) -> None:
    """Import the views now, not with the first request, and exempt all that exists from garbage collection.

    A full collection stops all threads of the process: for 180 ms (median; at most 600 ms), about every 20 s at 125
    requests/s. Without the 180,000 objects of the start it takes 40 ms.
    """
    import_module(settings.ROOT_URLCONF)
    gc.collect()
    gc.freeze()


def child_exit(server: Any, worker: Any) -> None:
    """Remove a dead worker's requests in progress from the metrics. Its counters stay."""
    multiprocess_files.remove_dead_gauges()


def on_starting(server: Any) -> None:
    """Do the same for the workers of a gunicorn that was killed. Protect the passwords in memory."""
    if workers > 1 and not metrics.MULTIPROCESS_DIR:
        server.log.warning(deployment_checks.NO_METRICS_DIRECTORY)
    multiprocess_files.remove_dead_gauges()
    hide_memory()


gunicorn_worker.validate_settings()
