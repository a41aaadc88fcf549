"""The Celery queues: each can have workers of its own, and a site without a worker for one is degraded."""

QUEUES = ("fan_out", "notifications", "media", "maintenance")

# Tasks that are enqueued by name, so that the modules that enqueue them need not import the tasks.
PROCESS_MEDIA = "media.tasks.process_media"
REMAKE_MEDIA = "media.tasks.remake_media"
RELOCATE_MEDIA = "media.tasks.relocate_media"
REMOVE_FILES = "media.tasks.remove_files"

# By task; all others go to `maintenance`.
ROUTES = {
    "feeds.tasks.deliver_post": {"queue": "fan_out"},
    "social.tasks.drain_notifications": {"queue": "notifications"},
    PROCESS_MEDIA: {"queue": "media"},
    REMAKE_MEDIA: {"queue": "media"},
}
