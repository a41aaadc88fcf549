#!/bin/sh
# What the postgres image's entrypoint does, as far as deploy/postgres relies on it: makes the data directory by
# POSTGRES_INITDB_ARGS, runs what is mounted to /docker-entrypoint-initdb.d (here $INITDB_SCRIPT) against a server that
# listens on its socket only, then becomes the command. PGHOST is the directory of the socket.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    secret=$(mktemp)
    printf '%s' "$POSTGRES_PASSWORD" >"$secret"
    # shellcheck disable=SC2086 # several arguments, as in the image
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile "$secret" --no-sync $POSTGRES_INITDB_ARGS
    rm "$secret"
    pg_ctl --wait --options "$(printf "'%s' " "$@" -c listen_addresses= | cut -d' ' -f2-)" start
    PGPASSWORD=$POSTGRES_PASSWORD POSTGRES_DB=$POSTGRES_USER "$INITDB_SCRIPT"
    pg_ctl --wait --mode fast stop
fi
exec "$@"
