#!/bin/sh
# A streaming replica: copies the primary if it has no copy, then follows it through a slot.
#
#     replica-start.sh postgres [argument …]     the server's command
#
# PGDATA, PRIMARY_HOST, PRIMARY_PORT (5432), POSTGRES_REPLICATION_PASSWORD; REPLICA_SLOT (replica), another one for each
# replica; REPLICA_WATCH (10), the seconds between two looks at the slot.
#
# * A copy is made beside PGDATA and gets that name when it is whole: what was interrupted is never taken for one.
# * When the primary keeps no more what this replica has not read (its slot is lost, or is none any more), a new copy
#   is made, and the old one is given up when the new one is whole. That takes the space of both.
# * A primary that was restored from its own base backup looks like one that lost the slot: stop the replica before
#   (docs/backup.md).
# * A primary that is away changes nothing. Nor does one with another history: it may be an empty one in the other's
#   place, and this the last good copy. Who wants to begin anew removes PGDATA.
# * A replica that was promoted is watched no more.
set -eu

slot=${REPLICA_SLOT:-replica}
copy=$PGDATA.new
old=$PGDATA.old
child=
umask 077
PGPASSFILE=$(mktemp)
export PGPASSFILE
echo "*:*:*:replicator:$POSTGRES_REPLICATION_PASSWORD" >"$PGPASSFILE"
upstream="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator passfile=$PGPASSFILE connect_timeout=5"

say() {
    echo "replica: $*" >&2
}

# A command of the replication protocol: replicator may say nothing else.
primary() {
    psql --no-psqlrc --quiet --no-align --tuples-only --dbname "$upstream dbname=replication replication=true" -c "$1"
}

# follows, lost, away, foreign or promoted
standing() {
    [ -e "$PGDATA/standby.signal" ] || { echo promoted; return; }
    theirs=$(primary 'IDENTIFY_SYSTEM' 2>/dev/null) || { echo away; return; }
    ours=$(pg_controldata "$PGDATA" | sed -n 's/^Database system identifier: *//p')
    [ "${theirs%%|*}" = "$ours" ] || { echo foreign; return; }
    held=$(primary "READ_REPLICATION_SLOT $slot" 2>/dev/null) || { echo away; return; }
    # type|position|timeline: all empty if there is no such slot, no position if it is lost.
    case $held in physical\|?*\|*) echo follows ;; *) echo lost ;; esac
}

# A slot from before may be lost, or hold back what the new copy has anyway.
make_slot() {
    case $(primary "READ_REPLICATION_SLOT $slot") in physical*) primary "DROP_REPLICATION_SLOT $slot" ;; esac
    primary "CREATE_REPLICATION_SLOT $slot PHYSICAL RESERVE_WAL" >/dev/null
}

take_copy() {
    mkdir -p "${PGDATA%/*}"
    until rm -rf "$copy" && make_slot && background pg_basebackup --pgdata "$copy" --dbname "$upstream" \
        --slot "$slot" --wal-method stream --checkpoint fast --write-recovery-conf && wait "$child"; do
        say 'no copy yet, trying again'
        pause 2
    done
    # By renames: a directory that is half removed would be taken for a copy.
    rm -rf "$old"
    [ ! -e "$PGDATA" ] || mv "$PGDATA" "$old"
    mv "$copy" "$PGDATA"
    rm -rf "$old"
}

# In the background, as all that lasts: a signal is heard while the shell waits, not while it runs a program.
background() {
    "$@" &
    child=$!
}

pause() {
    sleep "$1" &
    wait $! || true
}

# Fast, not smart: the connections of the readers are pooled and would never end.
stop() {
    [ -z "$child" ] || kill -INT "$child" 2>/dev/null || true
    [ -z "$child" ] || wait "$child" || true
}

follow() {
    background "$@" -c "primary_conninfo=$upstream" -c "primary_slot_name=$slot"
}

trap 'stop; rm -f "$PGPASSFILE"; exit 0' TERM INT
[ -s "$PGDATA/PG_VERSION" ] || take_copy
follow "$@"
while kill -0 "$child" 2>/dev/null; do
    pause "${REPLICA_WATCH:-10}"
    case $(standing) in
    lost)
        say 'the primary keeps no more what is missing here: making a new copy'
        stop
        take_copy
        follow "$@"
        ;;
    foreign) say "the primary has another history; remove $PGDATA to begin anew from it" ;;
    promoted) break ;;
    esac
done
wait "$child"
