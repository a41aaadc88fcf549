#!/bin/sh
# Start a PostgreSQL server: as the primary if POSTGRES_PRIMARY names it, otherwise as a replica of that server.
#
#     start.sh postgres [argument …]     the server's command
#
# Variables: SERVER_NAME, POSTGRES_PRIMARY, and those of replica-start.sh and of the image's entrypoint.
#
# Only the server `postgres` creates a database. Any other server without data is a replica that was never copied: as the
# primary it would be an empty site.
set -eu

if [ "$POSTGRES_PRIMARY" = "$SERVER_NAME" ]; then
    if [ "$SERVER_NAME" != postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
        echo "$SERVER_NAME has no data, so it cannot become the primary: set POSTGRES_PRIMARY=postgres" >&2
        exit 1
    fi
    exec docker-entrypoint.sh "$@"
fi
PRIMARY_HOST=${PRIMARY_HOST:-$POSTGRES_PRIMARY}
export PRIMARY_HOST
exec /bin/sh "${0%/*}/replica-start.sh" "$@"
