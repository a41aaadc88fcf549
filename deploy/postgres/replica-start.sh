#!/bin/sh
# Copies the primary the first time, then follows it.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    export PGPASSWORD="$POSTGRES_PASSWORD"
    until pg_basebackup --pgdata "$PGDATA" --host postgres --username replicator --slot replica1 --write-recovery-conf --wal-method stream; do
        echo "waiting for the primary"
        rm -rf "${PGDATA:?}"/*
        sleep 2
    done
    chown -R postgres:postgres "$PGDATA"
    chmod 0700 "$PGDATA"
fi
exec docker-entrypoint.sh postgres -c hot_standby_feedback=on
