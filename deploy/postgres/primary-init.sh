#!/bin/sh
# Creates roles and access rules. Runs once, when the primary's data directory is created (the image's
# /docker-entrypoint-initdb.d).
#
# POSTGRES_USER, POSTGRES_DB        the superuser and its database, set by the image
# POSTGRES_APP_PASSWORD             for `instafeed`, the owner of the application's database, which is no superuser
# POSTGRES_REPLICATION_PASSWORD     for `replicator`, which may only replicate
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv app_password POSTGRES_APP_PASSWORD
\getenv replication_password POSTGRES_REPLICATION_PASSWORD
CREATE ROLE instafeed LOGIN PASSWORD :'app_password';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
CREATE DATABASE instafeed OWNER instafeed;
REVOKE CONNECT ON DATABASE instafeed FROM PUBLIC;
GRANT CONNECT ON DATABASE instafeed TO pg_monitor;
-- For /health and /metrics: replication slots, WAL receivers, waiting queries.
GRANT pg_monitor TO instafeed;
SQL

# The superuser may connect from inside the container only (`docker compose exec postgres psql -U postgres`), the others
# from the container's networks. Connections to the published port come from the network's gateway.
cat > "$PGDATA/pg_hba.conf" <<'HBA'
local  all          all                       scram-sha-256
host   all          postgres    127.0.0.1/32  scram-sha-256
host   all          postgres    ::1/128       scram-sha-256
host   all          postgres    all           reject
host   all          instafeed   samenet       scram-sha-256
host   replication  replicator  samenet       scram-sha-256
HBA
