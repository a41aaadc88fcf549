#!/bin/sh
# The parts of the postgres image's entrypoint that docker-compose.yml uses. Commands other than the server run
# unchanged. A missing data directory is created and set up by INITDB_SCRIPTS (a list of paths here, a directory in the
# image) on a server that is not reachable from outside.
set -eu

if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    (
        umask 077
        final=$PGDATA PGDATA=$PGDATA.new PGPASSWORD=$POSTGRES_PASSWORD
        export PGDATA PGPASSWORD PGHOST="$TMPDIR" POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
        rm -rf "$PGDATA"
        mkdir -p "$PGDATA"
        printf '%s' "$PGPASSWORD" >"$TMPDIR/password"
        # shellcheck disable=SC2086 # several arguments
        initdb --username "$POSTGRES_USER" --pwfile "$TMPDIR/password" --no-sync ${POSTGRES_INITDB_ARGS:-}
        rm "$TMPDIR/password"
        "$@" -c listen_addresses= -c "unix_socket_directories=$PGHOST" &
        until pg_isready --quiet; do sleep 0.05; done
        for script in $INITDB_SCRIPTS; do sh "$script"; done
        kill -INT $!
        wait $! || true
        mv "$PGDATA" "$final"
    )
fi
exec "$@"
