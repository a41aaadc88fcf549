#!/bin/sh
# Prometheus reads the token of /metrics from a file; here it comes from METRICS_TOKEN.
set -eu
umask 077
printf '%s' "${METRICS_TOKEN:-}" >/tmp/metrics_token
unset METRICS_TOKEN
exec prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus \
    --storage.tsdb.retention.time=30d --storage.tsdb.retention.size=8GB
