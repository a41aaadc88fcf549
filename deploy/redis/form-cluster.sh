#!/bin/sh
# form-cluster.sh ADDRESS:PORT …: make the servers a Redis Cluster, unless they are one. REDISCLI_AUTH is the password.
# What is left of an earlier attempt is removed first: a cache holds nothing that cannot be rebuilt.
set -eu

ask() {
    server=$1
    shift
    redis-cli -e -h "${server%:*}" -p "${server##*:}" "$@"
}

if ask "$1" cluster info | grep -q '^cluster_slots_assigned:16384'; then
    exit 0
fi
for server in "$@"; do
    ask "$server" flushall
    ask "$server" cluster reset hard
done
exec redis-cli --cluster create "$@" --cluster-yes
