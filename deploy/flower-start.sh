#!/bin/sh
# Flower on the broker in CELERY_BROKER_URL, with FLOWER_USER and FLOWER_PASSWORD. It has no access to the application and
# shows only what Celery's events contain.
set -eu
if [ -z "${FLOWER_USER:-}" ] || [ -z "${FLOWER_PASSWORD:-}" ]; then
    echo 'flower: FLOWER_USER and FLOWER_PASSWORD must be set' >&2
    exit 1
fi
export FLOWER_BASIC_AUTH="$FLOWER_USER:$FLOWER_PASSWORD"
unset FLOWER_USER FLOWER_PASSWORD
exec celery -q flower "$@"
