#!/bin/sh
# Write METRICS_TOKEN to the file from which Prometheus reads the token of /metrics, then start Prometheus.
set -eu
umask 077
printf '%s' "${METRICS_TOKEN:-}" >/tmp/metrics_token
unset METRICS_TOKEN
exec prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus \
    --storage.tsdb.retention.time=30d --storage.tsdb.retention.size=8GB
