"""What Celery's settings need to know about the broker: Redis, Redis behind Sentinel, or RabbitMQ.

Tasks are hints that may be lost (ADR 12), so each transport is set up for short waits, not for durability. The rows
in PostgreSQL outlive any broker.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from kombu import Exchange, Queue

from instafeed.core.jobs.queues import QUEUES

PUBLISHER_TIMEOUT = 0.8  # seconds that a web request waits for a frozen Redis, for each of connecting and sending
# The same for RabbitMQ. Three waits can add up: for its answer, then to connect again twice.
RABBITMQ_PUBLISHER_TIMEOUT = 0.3
RABBITMQ_TLS_PUBLISHER_TIMEOUT = 0.2  # a fourth wait ends the TLS connection
# A publisher notices only when it sends that RabbitMQ has closed its connection, by a restart for example.
RECONNECT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
WORKER_CONNECT_TIMEOUT = 5
WORKER_TIMEOUT = 30  # workers block on BRPOP for a second at a time
DELIVERY_LIMIT = 20  # of RabbitMQ: a task that has killed its worker so often is dropped. The default of version 4
SENTINEL_PORT = 26379
SENTINEL_TIMEOUT = 0.25  # seconds; the next sentinel is asked then, so three frozen ones stay below a second

_REDIS_OPTIONS = {
    "visibility_timeout": 180,
    # The defaults (10 x 10) would restore a lost task about 100 s after its visibility timeout.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": PUBLISHER_TIMEOUT,
    "socket_connect_timeout": PUBLISHER_TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_retries": 0,
}
_RABBITMQ_OPTIONS = {
    # Wait for RabbitMQ's answer. Without it a task sent to a frozen or full broker would count as enqueued.
    "confirm_publish": True,
    "interval_start": 0,
    "interval_step": 0,
    "max_retries": 0,
}


def is_rabbitmq(url: str) -> bool:
    return url.startswith(("amqp://", "amqps://"))


def is_sentinel(url: str) -> bool:
    return url.startswith("sentinel://")


def transport_options(url: str, *, sentinel_master: str, sentinel_password: str) -> dict[str, Any]:
    """Return `broker_transport_options` for publishers, which must give up within a second."""
    if is_rabbitmq(url):
        timeout = RABBITMQ_TLS_PUBLISHER_TIMEOUT if url.startswith("amqps:") else RABBITMQ_PUBLISHER_TIMEOUT
        timeouts = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), timeout)
        # Try each node once. A dead one refuses at once; a frozen one ends the attempt.
        return _RABBITMQ_OPTIONS | timeouts | {"max_retries": url.count(";")}
    if not is_sentinel(url):
        return dict(_REDIS_OPTIONS)
    return _REDIS_OPTIONS | {
        "master_name": sentinel_master,
        "sentinel_kwargs": sentinel_options(sentinel_password, SENTINEL_TIMEOUT),
    }


def sentinel_addresses(url: str) -> list[tuple[str, int]]:
    parts = [urlsplit(one) for one in url.split(";")]
    return [(one.hostname or "", one.port or SENTINEL_PORT) for one in parts]


def master_url(url: str, host: str, port: int) -> str:
    """Return the redis:// URL of a master: with the user, password and database of the first sentinel:// URL."""
    first = urlsplit(url.partition(";")[0])
    user, separator, _ = first.netloc.rpartition("@")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return first._replace(scheme="redis", netloc=f"{user}{separator}{address}").geturl()


def sentinel_options(password: str, timeout: float) -> dict[str, Any]:
    """Return the options of connections to the sentinels."""
    # By default redis-py would ask a frozen sentinel four times, with pauses that add up to 20 s and more.
    options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": None}
    return options | ({"password": password} if password else {})


def worker_transport_options(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `broker_transport_options` for workers: longer timeouts, and reconnection without limit."""
    longer = (
        {"read_timeout": WORKER_TIMEOUT, "write_timeout": WORKER_TIMEOUT, "connect_timeout": WORKER_CONNECT_TIMEOUT}
        if is_rabbitmq(url)
        else {"socket_timeout": WORKER_TIMEOUT, "socket_connect_timeout": WORKER_CONNECT_TIMEOUT}
    )
    return {name: value for name, value in options.items() if name != "max_retries"} | longer


def task_queues(url: str) -> list[Queue] | None:
    """Return RabbitMQ's quorum queues, which a cluster replicates. None: Celery makes the queues of Redis as needed.

    Quorum queues have no priorities before RabbitMQ 4, and need none here: urgent work has queues of its own.
    """
    if not is_rabbitmq(url):
        return None
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
    return [Queue(name, Exchange(name), routing_key=name, queue_arguments=arguments) for name in QUEUES]


def tls_options(url: str) -> dict[str, Any] | bool:
    """Return `broker_use_ssl`. By default kombu does not verify RabbitMQ's certificate; redis-py verifies Redis'."""
    if not url.startswith("amqps://"):
        return False
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}  # None: the host of the URL
