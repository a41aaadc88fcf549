"""The settings of the test suite: the project's, on the session's data services, with one Redis database a process."""

import os
import re
from pathlib import Path

_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
REDIS_NUMBER = 1 + int(_worker.removeprefix("gw")) if _worker else 0

for _name in ("REDIS_URL", "CELERY_BROKER_URL"):
    if _name in os.environ:
        os.environ[_name] = re.sub(r"/\d+$", f"/{REDIS_NUMBER}", os.environ[_name])
if "MEDIA_ROOT" in os.environ and _worker:
    os.environ["MEDIA_ROOT"] = str(Path(os.environ["MEDIA_ROOT"]).with_name("media") / _worker)

os.environ.update(HTTPS_ONLY="false", LOG_LEVEL="WARNING", DEBUG="false", SERVE_FILES="true", ADMIN_OTP="false")

from instafeed.settings import *  # noqa: E402, F403
from tests.support.prebuilt_data import TEMPLATE_DATABASE  # noqa: E402

DATABASES["default"]["TEST"] = {"TEMPLATE": TEMPLATE_DATABASE}  # noqa: F405
DATABASES["default"]["OPTIONS"]["connect_timeout"] = "60"  # noqa: F405  # see CACHES below
THROTTLES = dict.fromkeys(THROTTLES)  # noqa: F405  # off
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
# A busy machine may need longer than production allows. An outage in a test refuses connections at once.
CACHES["default"]["OPTIONS"] |= {"SOCKET_TIMEOUT": 60, "SOCKET_CONNECT_TIMEOUT": 60}  # noqa: F405
CELERY_BROKER_TRANSPORT_OPTIONS |= {"socket_timeout": 60, "socket_connect_timeout": 60}  # noqa: F405
MAIL_ENABLED = True  # into Django's list of sent mails
VAPID_PRIVATE_KEY = ""  # tests of push messages have a key of their own
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow by design
