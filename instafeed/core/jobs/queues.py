"""The Celery queues. Each can have its own workers; /health reports a queue without a worker as degraded."""

QUEUES = ("fan_out", "notifications", "media", "maintenance")

# Tasks that are enqueued by name, because their modules import the modules that enqueue them.
PROCESS_MEDIA = "media.tasks.process_media"
REMAKE_MEDIA = "media.tasks.remake_media"
RELOCATE_MEDIA = "media.tasks.relocate_media"
REMOVE_FILES = "media.tasks.remove_files"
DRAIN_NOTIFICATIONS = "social.tasks.drain_notifications"

# By task name; all other tasks go to `maintenance`.
ROUTES = {
    "feeds.tasks.deliver_post": {"queue": "fan_out"},
    DRAIN_NOTIFICATIONS: {"queue": "notifications"},
    PROCESS_MEDIA: {"queue": "media"},
    REMAKE_MEDIA: {"queue": "media"},
}
