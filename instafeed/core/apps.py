from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class CoreConfig(AppConfig):
    """The parts that all apps share: ids, caching, replicas, background jobs, the API's conventions."""

    name = "instafeed.core"

    def ready(self) -> None:
        from instafeed.core import checks, deployment_checks  # noqa: F401  (register the checks)
        from instafeed.core.db import partitions
        from instafeed.core.jobs import backlog
        from instafeed.core.monitoring import disk, exporter, redis_limits  # noqa: F401

        exporter.register_probe("jobs", backlog.backlog_gauges)
        exporter.register_probe("partitions", partitions.partition_gauges)
        exporter.register_probe("disk", disk.disk_gauges)

        # Importing the Celery application makes it the one that every `shared_task` is bound to.
        import_module(settings.TASK_APPLICATION)
