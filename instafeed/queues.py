"""The Celery queues: each can have workers of its own, and a site without a worker for one is degraded."""

QUEUES = ("fan_out", "notifications", "media", "maintenance")
