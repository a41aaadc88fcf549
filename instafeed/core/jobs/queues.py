"""The Celery queues. Each can have its own workers; /health reports a queue without a worker as degraded."""

FAN_OUT = "fan_out"
QUEUES = (FAN_OUT, "notifications", "media", "mail", "push", "bulk", "maintenance")

# Tasks that are enqueued by name, because their modules import the modules that enqueue them.
DELIVER_POSTS = "feeds.tasks.deliver_posts"
BUILD_EXPORTS = "instafeed.exports.tasks.build_exports"
ERASE_ACCOUNTS = "accounts.tasks.erase_accounts"
PROCESS_MEDIA = "media.tasks.process_media"
REMAKE_MEDIA = "media.tasks.remake_media"
RELOCATE_MEDIA = "media.tasks.relocate_media"
REMOVE_FILES = "media.tasks.remove_files"
ACCEPT_FOLLOW_REQUESTS = "social.tasks.accept_follow_requests"
DRAIN_NOTIFICATIONS = "social.tasks.drain_notifications"
EVICT_MISSED_BUCKETS = "feeds.tasks.evict_missed_buckets"
PURGE_POSTS = "posts.tasks.purge_posts"
SEND_MAILS = "accounts.tasks.send_mails"
SEND_PUSHES = "posts.tasks.send_pushes"
RUN_OPERATOR_JOBS = "instafeed.backoffice.tasks.run_operator_jobs"

# By task name; all other tasks go to `maintenance`.
ROUTES = {
    DELIVER_POSTS: {"queue": FAN_OUT},
    DRAIN_NOTIFICATIONS: {"queue": "notifications"},
    PROCESS_MEDIA: {"queue": "media"},
    REMAKE_MEDIA: {"queue": "media"},
    SEND_MAILS: {"queue": "mail"},  # its own: a mail server that does not answer occupies its workers
    SEND_PUSHES: {"queue": "push"},  # its own for the same reason
    # Long work in slices of a second. In `maintenance` it would delay the sweeps.
    RELOCATE_MEDIA: {"queue": "bulk"},
    REMOVE_FILES: {"queue": "bulk"},
    ERASE_ACCOUNTS: {"queue": "bulk"},
    BUILD_EXPORTS: {"queue": "bulk"},
    ACCEPT_FOLLOW_REQUESTS: {"queue": "bulk"},
    RUN_OPERATOR_JOBS: {"queue": "bulk"},
    "instafeed.backoffice.tasks.delete_expired_rows": {"queue": "bulk"},
}
