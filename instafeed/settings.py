"""The settings: production defaults, and all values from environment variables, read through `env`.

If DATABASE_URL and REDIS_URL are unset, the URLs of a running embedded stack (`manage.py stack`) are used. Without a
stack, commands that need no service (`check`, `makemigrations`, `stack`) still work.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from corsheaders.defaults import default_headers

from instafeed.core import env, storage_settings
from instafeed.core.api.openapi import description
from instafeed.core.http import security_headers
from instafeed.core.jobs import broker, queues, schedule
from instafeed.core.mail import url as mail_url
from instafeed.core.observability import logging_config
from instafeed.devstack import state

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Addresses of the services -----------------------------------------------------------------------

STACK_DIR = env.path("INSTAFEED_STACK_DIR", state.DEFAULT_DATA_DIR)
HAS_OWN_SERVICES = bool(env.text("DATABASE_URL") or env.text("REDIS_URL"))
if not HAS_OWN_SERVICES:
    if env.text("DATABASE_DIRECT_URL"):
        env.require("DATABASE_URL")
    # setdefault: variables that an operator sets take precedence over the stack's.
    for _name, _value in (state.running_environment(STACK_DIR) or {}).items():
        os.environ.setdefault(_name, _value)


OFFLINE = not env.text("DATABASE_URL") and not env.text("REDIS_URL")
# Nothing listens on port 1: an offline command that needs a service fails at once, with manage.py's error line.
DATABASE_URL = env.text("DATABASE_URL") or "postgresql://127.0.0.1:1/instafeed"
REDIS_URL = env.cache_url("REDIS_URL", "redis://127.0.0.1:1/0")
IS_REDIS_CLUSTER = env.is_cluster_url(REDIS_URL)
# Celery has no transport for a cluster, so then the broker must be named.
CELERY_BROKER_URL = env.broker_url("CELERY_BROKER_URL", "" if IS_REDIS_CLUSTER else REDIS_URL)
# The parts into which a cluster's keys are divided (instafeed.core.cache.buckets).
FEED_BUCKETS = env.integer("FEED_BUCKETS", 16, minimum=2, maximum=1_024)
if not IS_REDIS_CLUSTER:
    FEED_BUCKETS = 1

DEBUG = env.boolean("DEBUG", False)
# Random only offline, where nothing is signed; otherwise all processes must share the same key.
SECRET_KEY = (env.text("SECRET_KEY") if DEBUG else env.secret_key("SECRET_KEY")) or (
    secrets.token_urlsafe(50) if OFFLINE else ""
)
SECRET_KEY_FALLBACKS = env.secret_keys("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.host_names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

# --- The feed ----------------------------------------------------------------------------------------

CELEBRITY_THRESHOLD = env.integer("CELEBRITY_THRESHOLD", 10_000, minimum=1)
FAN_OUT_BATCH_SIZE = env.integer("FAN_OUT_BATCH_SIZE", 1_000, minimum=1, maximum=5_000)
FAN_OUT_RATE_LIMIT = env.integer("FAN_OUT_RATE_LIMIT", 0)  # deliveries per second over all workers; 0: none
FEED_LENGTH = env.integer("FEED_LENGTH", 500, minimum=1, maximum=5_000)  # post ids per cached feed
FEED_TTL = env.integer("FEED_TTL", 7 * 86_400, minimum=1)  # seconds after the last read
MAX_FOLLOWING = env.integer("MAX_FOLLOWING", 7_500, minimum=1)  # accounts that a user follows or asks to follow

# --- Django ------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Before the admin: their templates replace the admin's.
    "instafeed.core",
    "instafeed.backoffice.apps.BackofficeConfig",
    "instafeed.backoffice.apps.InstafeedAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "corsheaders",
    "django_celery_results",
    "csp",
    "django_otp",
    "accounts",
    "social",
    "media",
    "instafeed.exports",
    "posts",
    "feeds",
    "instafeed.demo",
    "instafeed.webclient",
    "instafeed.devstack",
]

MIDDLEWARE = [
    "instafeed.core.observability.request_id.RequestIdMiddleware",
    "instafeed.core.http.request_log.RequestLogMiddleware",
    "instafeed.core.http.security_headers.SecurityHeadersMiddleware",
    "instafeed.core.http.compression.CompressionMiddleware",  # outside of what turns responses into 304
    "instafeed.core.api.headers.ApiHeadersMiddleware",
    "instafeed.core.api.errors.ApiErrorMiddleware",  # outside of all middleware that may fail
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "instafeed.core.db.replicas.middleware.ReplicaMiddleware",
    "instafeed.core.http.browser_middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "instafeed.core.http.browser_middleware.AuthenticationMiddleware",
    "instafeed.core.http.browser_middleware.OTPMiddleware",
    "instafeed.core.http.browser_middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "instafeed.urls"
WSGI_APPLICATION = "instafeed.wsgi.application"
TASK_APPLICATION = "instafeed.celery"  # imported by instafeed.core once the apps are loaded
APPEND_SLASH = False
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes of a JSON body; uploads are streamed

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

PASSWORD_HASHERS = ["accounts.hashers.PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Databases: one primary, any number of replicas --------------------------------------------------

# For the threads of a web process; deploy/gunicorn.conf.py turns it on. Celery and commands use plain
# connections, as their processes have one thread.
DATABASE_POOL = env.boolean("DATABASE_POOL", False)
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 8, minimum=1, maximum=200)


# PostgreSQL itself, if DATABASE_URL leads to PgBouncer in transaction mode: for commands that need a session.
DATABASE_DIRECT_URL = env.text("DATABASE_DIRECT_URL")


def _database(name: str, url: str, *, replica: bool) -> dict[str, Any]:
    database = env.postgres_database(name, url)
    database["OPTIONS"].setdefault("connect_timeout", "3")
    database["ENGINE"] = "instafeed.core.db.replicas.backend" if replica else "instafeed.core.db.primary"
    # PgBouncer may send the FETCH of a cursor to another session than its DECLARE.
    database["DISABLE_SERVER_SIDE_CURSORS"] = name == "DATABASE_URL" and bool(DATABASE_DIRECT_URL)
    if replica:
        database["TEST"] = {"MIRROR": "default"}
    if DATABASE_POOL:
        smallest = 0 if replica else 1
        database["OPTIONS"]["pool"] = {
            "min_size": smallest,
            "max_size": DATABASE_POOL_SIZE,
            "timeout": 1,
            # The pool's default retries for 300 s at doubling intervals, so a server that returns after minutes would
            # be noticed up to 128 s late. After 2 s the pool gives up, and the next request tries again.
            "reconnect_timeout": 2,
        }
        database["CONN_HEALTH_CHECKS"] = True
    return database


REPLICA_URLS = env.string_list("DATABASE_REPLICA_URLS", of="`postgresql://` URLs")
REPLICA_ALIASES = [f"replica{number}" for number in range(1, len(REPLICA_URLS) + 1)]
DATABASES = {
    "default": _database("DATABASE_URL", DATABASE_URL, replica=False),
    **{
        alias: _database("DATABASE_REPLICA_URLS", url, replica=True)
        for alias, url in zip(REPLICA_ALIASES, REPLICA_URLS, strict=True)
    },
}
DIRECT_DATABASE = _database("DATABASE_DIRECT_URL", DATABASE_DIRECT_URL, replica=False) if DATABASE_DIRECT_URL else None
if not SECRET_KEY:
    raise env.SettingError("SECRET_KEY", "must be set: `openssl rand -base64 48` makes a good one")
if not OFFLINE:
    env.require("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
DATABASE_ROUTERS = ["instafeed.core.db.replicas.router.ReplicaRouter"]
# Seconds for a statement, lock waits included, in a web process; 0: no limit, as in workers and commands.
PRIMARY_STATEMENT_TIMEOUT = env.integer("PRIMARY_STATEMENT_TIMEOUT", 5, maximum=600) if DATABASE_POOL else 0
REPLICA_MAX_LAG = env.integer("REPLICA_MAX_LAG", 60, minimum=1)  # seconds
REPLICA_STATEMENT_TIMEOUT = env.integer("REPLICA_STATEMENT_TIMEOUT", 2, minimum=1, maximum=60)  # seconds
MIGRATION_LOCK_TIMEOUT = env.integer("MIGRATION_LOCK_TIMEOUT", 3, minimum=1, maximum=60)  # seconds; `migrate`

# --- Redis: the cache holds timelines and JSON, the broker holds tasks -------------------------------

REDIS_TIMEOUT = 0.5  # seconds per command, then the request falls back to SQL
CACHES: dict[str, Any] = {
    # The code uses django-redis' raw client (instafeed.core.cache.client), not the API of django.core.cache.
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            # JSON: with pickle, write access to Redis would mean code execution here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT,
            "SOCKET_TIMEOUT": REDIS_TIMEOUT,
            "CONNECTION_POOL_KWARGS": {"max_connections": 100, "health_check_interval": 30},
        },
    }
}
if IS_REDIS_CLUSTER:
    DJANGO_REDIS_CONNECTION_FACTORY = "instafeed.core.cache.cluster_client.ConnectionFactory"

# --- Celery: tasks may be lost; the outboxes in PostgreSQL are authoritative (docs/architecture.md) --

CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True  # operator jobs store theirs themselves (instafeed.backoffice.jobs.results)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_DB_REUSE_MAX = 2**31  # tasks until Celery closes connections: worker_connections.py does it, by their age
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True  # store the name, the arguments and the worker too
CELERY_RESULT_EXPIRES = 0  # beat's cleanup would delete results before their jobs; OPERATOR_JOB_RETENTION_DAYS does it
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 120  # seconds; must stay below the visibility timeout, or a slow task runs twice
CELERY_TASK_SOFT_TIME_LIMIT = 100
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 8
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_HEARTBEAT = 10  # seconds; RabbitMQ only: after two missed ones the tasks of a dead worker run again
CELERY_BROKER_USE_SSL = broker.tls_options(CELERY_BROKER_URL)
BROKER_SENTINEL_MASTER = env.text("CELERY_BROKER_SENTINEL_MASTER", "mymaster")
BROKER_SENTINEL_PASSWORD = env.text("CELERY_BROKER_SENTINEL_PASSWORD")  # of the sentinels; the URL has the servers'
# instafeed/celery.py sets longer timeouts for workers.
CELERY_BROKER_TRANSPORT_OPTIONS = broker.transport_options(
    CELERY_BROKER_URL, sentinel_master=BROKER_SENTINEL_MASTER, sentinel_password=BROKER_SENTINEL_PASSWORD
)
CELERY_TASK_QUEUES = broker.task_queues(CELERY_BROKER_URL)
CELERY_TASK_PUBLISH_RETRY = broker.is_rabbitmq(CELERY_BROKER_URL)  # redis-py reconnects itself
CELERY_TASK_PUBLISH_RETRY_POLICY = broker.RECONNECT_ONCE
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_ROUTES = queues.ROUTES
CELERY_BEAT_SCHEDULE = schedule.SCHEDULE

# --- The API -----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": [
        "instafeed.core.api.throttling.AnonThrottle",
        "instafeed.core.api.throttling.UserThrottle",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "instafeed.core.api.negotiation.JsonNegotiation",
    "DEFAULT_PARSER_CLASSES": ["instafeed.core.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "instafeed.core.api.openapi.auto_schema.ApiSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "NUM_PROXIES": env.integer("NUM_PROXIES", 0),
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "instafeed.core.api.errors.ErrorHandler",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.integer("ACCESS_TOKEN_MINUTES", 60, minimum=1, maximum=1_440)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.integer("REFRESH_TOKEN_DAYS", 30, minimum=1)),
    # accounts.sessions implements rotation and reuse detection with one row per sign-in instead of one per token.
    "SIGNING_KEY": SECRET_KEY,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "instafeed",
    "DESCRIPTION": description.DESCRIPTION,
    "VERSION": "1",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    # What `manage.py stack` serves; GET /schema names the site that was asked.
    "SERVERS": [{"url": "http://127.0.0.1:8000", "description": "The site."}],
    "OAS_VERSION": "3.1.0",
    "TAGS": description.TAGS,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # The validator's badge would be loaded from another host.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True, "validatorUrl": None},
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "ErrorTypeEnum": "instafeed.core.api.openapi.components.ERROR_TYPES",
        "MediaKindEnum": "media.api.serializers.KINDS",
        "NotificationKindEnum": "social.models.NotificationKind",
        "MediaStatusEnum": "media.api.serializers.STATUSES",
        "ExportStatusEnum": "instafeed.exports.api.views.STATUSES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "instafeed.core.api.openapi.auto_schema.add_shared_components",
        "instafeed.core.api.openapi.public_document.derive_public_document",
    ],
}
COMPRESS_RESPONSES = env.boolean("COMPRESS_RESPONSES", False)
CORS_ALLOWED_ORIGINS = env.web_origins("CORS_ALLOWED_ORIGINS")
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "if-none-match", "last-event-id", "x-request-id"]
CORS_EXPOSE_HEADERS = [
    *("X-Request-ID", "Retry-After", "Idempotency-Replayed", "ETag"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    *("Deprecation", "Sunset"),
]
THROTTLES = {
    "anon": env.throttle_rate("THROTTLE_ANON", "1200/minute"),
    "user": env.throttle_rate("THROTTLE_USER", "3000/minute"),
    "register": env.throttle_rate("THROTTLE_REGISTER", "60/hour"),
    "login": env.throttle_rate("THROTTLE_LOGIN", "30/hour"),
    "login_address": env.throttle_rate("THROTTLE_LOGIN_ADDRESS", "300/hour"),
    "upload": env.throttle_rate("THROTTLE_UPLOAD", "600/hour"),
    "export": env.throttle_rate("THROTTLE_EXPORT", "60/hour"),
    "zip_export": env.throttle_rate("THROTTLE_ZIP_EXPORT", "5/day"),
    "post": env.throttle_rate("THROTTLE_POST", "60/hour"),
    "comment": env.throttle_rate("THROTTLE_COMMENT", "200/hour"),
    "follow": env.throttle_rate("THROTTLE_FOLLOW", "200/hour"),
    "block": env.throttle_rate("THROTTLE_BLOCK", "200/hour"),
    "report": env.throttle_rate("THROTTLE_REPORT", "60/hour"),
    "profile": env.throttle_rate("THROTTLE_PROFILE", "60/hour"),
    "privacy": env.throttle_rate("THROTTLE_PRIVACY", "5/hour"),
    "avatar": env.throttle_rate("THROTTLE_AVATAR", "10/hour"),
    "mail": env.throttle_rate("THROTTLE_MAIL", "10/hour"),
    "reset": env.throttle_rate("THROTTLE_RESET", "60/hour"),
}

# --- Live updates (docs/live-updates.md) --------------------------------------------------------------

STREAM_URL = env.web_url("STREAM_URL") or f"{env.web_origin('PUBLIC_URL')}/api/v1/stream"
STREAM_LIMIT = env.integer("STREAM_LIMIT", 5_000, minimum=1, maximum=100_000)  # open streams of a process
STREAM_CHECK_SECONDS = env.integer("STREAM_CHECK_SECONDS", 60, minimum=1, maximum=60)  # between checks of a token

# --- Retention: days after which rows are deleted; 0 keeps them (docs/operations.md) -------------------

# Days of a partition. Each one costs a query without a range of ids about 20 µs.
POST_PARTITION_DAYS = env.integer("POST_PARTITION_DAYS", 365, minimum=1, maximum=36_500)  # and of their likes
FAN_OUT_PARTITION_DAYS = env.integer("FAN_OUT_PARTITION_DAYS", 30, minimum=1, maximum=36_500)
FAN_OUT_RETENTION_DAYS = env.integer("FAN_OUT_RETENTION_DAYS", 30, minimum=0, maximum=36_500)
NOTIFICATION_RETENTION_DAYS = env.integer("NOTIFICATION_RETENTION_DAYS", 365, minimum=0, maximum=36_500)
IDEMPOTENCY_RETENTION_DAYS = env.integer("IDEMPOTENCY_RETENTION_DAYS", 1, minimum=0, maximum=36_500)
MAIL_RETENTION_DAYS = env.integer("MAIL_RETENTION_DAYS", 30, minimum=0, maximum=36_500)
OPERATOR_JOB_RETENTION_DAYS = env.integer("OPERATOR_JOB_RETENTION_DAYS", 90, minimum=0, maximum=36_500)
SAMPLE_RETENTION_DAYS = env.integer("SAMPLE_RETENTION_DAYS", 7, minimum=0, maximum=36_500)
PENDING_RETENTION_DAYS = env.integer("PENDING_RETENTION_DAYS", 30, minimum=0, maximum=36_500)

# --- Files -------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = str(env.path("INSTAFEED_STATIC_ROOT", BASE_DIR / "staticfiles"))
MEDIA_MAX_BYTES = env.integer("MEDIA_MAX_BYTES", 20 * 2**20, minimum=1, maximum=31 * 2**20)  # per picture
MEDIA_MAX_PIXELS = env.integer("MEDIA_MAX_PIXELS", 50_000_000, minimum=1, maximum=50_000_000)
MEDIA_JPEG = env.boolean("MEDIA_JPEG", False)  # also make JPEG variants, for clients without WebP
MEDIA_KEEP_ORIGINALS = env.boolean(
    "MEDIA_KEEP_ORIGINALS", False
)  # as private files; otherwise deleted after processing
# Uploads are stored under var/, not in the app `media/`.
MEDIA_ROOT = str(env.path("MEDIA_ROOT", BASE_DIR / "var" / "media"))
MEDIA_URL = "/files/"
# The site's origin, such as https://example.org; completes the URLs of files that this site serves.
PUBLIC_URL = env.web_origin("PUBLIC_URL")
# Django itself serves MEDIA_ROOT: for the embedded stack only.
SERVE_FILES = env.boolean("SERVE_FILES", False) and not storage_settings.uses_object_storage()
MEDIA_URL_TTL = env.integer(
    "MEDIA_URL_TTL", 3_600, minimum=60, maximum=302_400
)  # seconds; S3 allows at most twice the maximum
EXPORT_RETENTION_DAYS = env.integer("EXPORT_RETENTION_DAYS", 7, minimum=1, maximum=365)  # of finished ZIPs
STORAGES = {
    "default": storage_settings.default_storage(),
    "staticfiles": {"BACKEND": "instafeed.webclient.static_files.StaticStorage"},
}

# --- Mail (docs/mail.md) -----------------------------------------------------------------------------

SITE_NAME = env.text("SITE_NAME", "instafeed")
SITE_URL = env.web_origin("SITE_URL") or PUBLIC_URL  # links in mails and to posts begin with it
POST_URL = env.link_template("POST_URL", f"{SITE_URL}/p/{{id}}", "{id}")
EMAIL_URL = env.text("EMAIL_URL")
MAIL_ENABLED = bool(EMAIL_URL)
EMAIL_FILE_PATH = ""
globals().update(mail_url.parse(EMAIL_URL))  # EMAIL_BACKEND and its options
MAIL_FROM = DEFAULT_FROM_EMAIL = env.mailbox("MAIL_FROM") or f"{SITE_NAME} <noreply@localhost>"
# Pages or deep links of an app. Behind `#` a token stays out of the logs of web servers.
EMAIL_VERIFY_URL = env.link_template("EMAIL_VERIFY_URL", f"{SITE_URL}/verify-email#token={{token}}")
PASSWORD_RESET_URL = env.link_template("PASSWORD_RESET_URL", f"{SITE_URL}/reset-password#token={{token}}")
if mail_url.reaches_people(EMAIL_URL):
    env.require("MAIL_FROM")
    if not SITE_URL:
        raise env.SettingError("SITE_URL", "must be set too: links in mails begin with it")
# Web Push (docs/push.md): off without a key.
VAPID_PRIVATE_KEY = env.vapid_private_key("VAPID_PRIVATE_KEY")
PUSH_SERVICES = env.hosts_or_origins(
    "PUSH_SERVICES", "fcm.googleapis.com,push.services.mozilla.com,push.apple.com,notify.windows.com"
)
REQUIRE_VERIFIED_EMAIL = env.boolean("REQUIRE_VERIFIED_EMAIL", False)
if REQUIRE_VERIFIED_EMAIL and not EMAIL_URL:
    raise env.SettingError("REQUIRE_VERIFIED_EMAIL", "needs EMAIL_URL: addresses are verified by mail")

# --- Registration (docs/registration.md) -------------------------------------------------------------

REGISTRATION = env.choice("REGISTRATION", "open", ("open", "approval", "invite", "closed"))
INVITE_URL = env.link_template("INVITE_URL", f"{SITE_URL}/register#invite={{token}}")
CAPTCHA = env.choice("CAPTCHA", "off", ("off", "altcha"))
CAPTCHA_DIFFICULTY = env.integer("CAPTCHA_DIFFICULTY", 100_000, minimum=1_000, maximum=10_000_000)  # hashes at most
MINIMUM_AGE = env.integer("MINIMUM_AGE", 0, maximum=100)  # years; 0: not asked
INSTANCE_DESCRIPTION = env.text("INSTANCE_DESCRIPTION")

# --- Security ----------------------------------------------------------------------------------------

HTTPS_ONLY = env.boolean("HTTPS_ONLY", True)
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("BEHIND_PROXY", False) else None
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
# Both concern all other sites of the domain, and browsers remember the first for a year, the second for much longer.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.boolean("HSTS_INCLUDE_SUBDOMAINS", False) and HTTPS_ONLY
SECURE_HSTS_PRELOAD = env.boolean("HSTS_PRELOAD", False) and HTTPS_ONLY
if SECURE_HSTS_PRELOAD and not SECURE_HSTS_INCLUDE_SUBDOMAINS:
    raise env.SettingError("HSTS_PRELOAD", "needs HSTS_INCLUDE_SUBDOMAINS, without which no browser accepts it")
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # that these two are off
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "instafeed.core.http.session_store"
SESSION_COOKIE_AGE = 12 * 3_600  # seconds; an admin session is not extended by activity
CONTENT_SECURITY_POLICY = security_headers.content_security_policy(
    [*storage_settings.public_origins(), *([PUBLIC_URL] if PUBLIC_URL else [])], STREAM_URL
)
CSRF_FAILURE_VIEW = "instafeed.core.api.errors.csrf_failure"
ADMIN_OTP = env.boolean("ADMIN_OTP", True)  # require a second factor in the admin
OTP_TOTP_ISSUER = "instafeed"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Observability (docs/operations.md) --------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", logging_config.LEVELS)
LOG_FORMAT = env.choice("LOG_FORMAT", "json", logging_config.FORMATS)
LOG_REQUESTS = env.choice("LOG_REQUESTS", "writes", ("writes", "all", "none"))
LOGGING = logging_config.build_logging_dict(LOG_LEVEL, LOG_FORMAT)

METRICS_TOKEN = env.text("METRICS_TOKEN")
METRICS_PORT = env.integer("METRICS_PORT", 0, maximum=65_535)  # for a Celery worker; 0: none
METRICS_BIND = env.text("METRICS_BIND", "127.0.0.1")

SENTRY_DSN = env.text("SENTRY_DSN")
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "production")
SENTRY_RELEASE = env.text("SENTRY_RELEASE")
SENTRY_TRACES_SAMPLE_RATE = env.fraction("SENTRY_TRACES_SAMPLE_RATE", 0.0)
if SENTRY_DSN:
    from sentry_sdk.utils import BadDsn

    from instafeed.core.observability import sentry

    try:
        sentry.init_sentry(
            SENTRY_DSN,
            environment=SENTRY_ENVIRONMENT,
            release=SENTRY_RELEASE or None,
            traces=SENTRY_TRACES_SAMPLE_RATE,
        )
    except BadDsn as error:
        raise env.SettingError("SENTRY_DSN", f"is not a Sentry DSN: {error}") from None
