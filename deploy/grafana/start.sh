#!/bin/sh
# Without a password Grafana would use `admin`.
if [ -z "${GF_SECURITY_ADMIN_PASSWORD:-}" ]; then
    echo 'grafana: GRAFANA_PASSWORD must be set' >&2
    exit 1
fi
exec /run.sh
