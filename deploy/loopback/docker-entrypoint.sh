#!/bin/sh
# What the postgres image's entrypoint does, as far as docker-compose.yml relies on it: a command that is not the server
# is run as it is; a data directory that is not there is made, and set up by the scripts of INITDB_SCRIPTS (here a list
# of paths, there a directory) on a server that nobody can reach from outside.
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
