#!/bin/sh
# Runs once, when the primary's data directory is made (the image's /docker-entrypoint-initdb.d): who may do what,
# and from where.
#
# POSTGRES_USER, POSTGRES_DB        the superuser and its database, as the image has them
# POSTGRES_APP_PASSWORD             of `instafeed`, which owns the application's database and is no superuser
# POSTGRES_REPLICATION_PASSWORD     of `replicator`, which may copy and stream, and do nothing else
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv app_password POSTGRES_APP_PASSWORD
\getenv replication_password POSTGRES_REPLICATION_PASSWORD
CREATE ROLE instafeed LOGIN PASSWORD :'app_password';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
CREATE DATABASE instafeed OWNER instafeed;
REVOKE CONNECT ON DATABASE instafeed FROM PUBLIC;
GRANT CONNECT ON DATABASE instafeed TO pg_monitor;
-- What /health and /metrics ask: replication slots, WAL receivers, waiting queries.
GRANT pg_monitor TO instafeed;
SQL

# The superuser connects from inside the container only (`docker compose exec postgres psql -U postgres`), the others
# from the networks of the container, by their passwords. The published port is reached through the network's gateway.
cat > "$PGDATA/pg_hba.conf" <<'HBA'
local  all          all                       scram-sha-256
host   all          postgres    127.0.0.1/32  scram-sha-256
host   all          postgres    ::1/128       scram-sha-256
host   all          postgres    all           reject
host   all          instafeed   samenet       scram-sha-256
host   replication  replicator  samenet       scram-sha-256
HBA
