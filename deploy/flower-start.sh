#!/bin/sh
# Flower on the broker in CELERY_BROKER_URL, behind FLOWER_USER and FLOWER_PASSWORD. It knows nothing else of the
# application: tasks are what their events say.
set -eu
if [ -z "${FLOWER_USER:-}" ] || [ -z "${FLOWER_PASSWORD:-}" ]; then
    echo 'flower: FLOWER_USER and FLOWER_PASSWORD must be set' >&2
    exit 1
fi
export FLOWER_BASIC_AUTH="$FLOWER_USER:$FLOWER_PASSWORD"
unset FLOWER_USER FLOWER_PASSWORD
exec celery -q flower "$@"
