#!/bin/sh
# Start a PostgreSQL server: as the primary if POSTGRES_PRIMARY names it, otherwise as a replica of that server.
#
#     start.sh postgres [argument …]     the server's command
#
# Variables: SERVER_NAME, POSTGRES_PRIMARY, and those of replica-start.sh and of the image's entrypoint.
set -eu

if [ "$POSTGRES_PRIMARY" = "$SERVER_NAME" ]; then
    exec docker-entrypoint.sh "$@"
fi
PRIMARY_HOST=${PRIMARY_HOST:-$POSTGRES_PRIMARY}
export PRIMARY_HOST
exec /bin/sh "${0%/*}/replica-start.sh" "$@"
