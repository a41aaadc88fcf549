"""The Celery queues: each can have workers of its own, and a site without a worker for one is degraded."""

QUEUES = ("fan_out", "notifications", "media", "maintenance")

# By task; all others go to `maintenance`.
ROUTES = {
    "feeds.tasks.deliver_post": {"queue": "fan_out"},
    "social.tasks.drain_notifications": {"queue": "notifications"},
    "media.tasks.process_media": {"queue": "media"},
    "media.tasks.remake_media": {"queue": "media"},
}
