#!/bin/sh
# A streaming replica: takes a base backup of the primary if it has none, then follows the primary through a slot.
#
#     replica-start.sh postgres [argument …]     the server's command
#
# Variables: PGDATA, PRIMARY_HOST, PRIMARY_PORT (5432), POSTGRES_REPLICATION_PASSWORD, REPLICA_SLOT (replica; unique for
# each replica), REPLICA_WATCH (10; seconds between two checks of the slot).
#
# * The backup is taken next to PGDATA and renamed when it is complete, so an interrupted one is never used.
# * If the primary no longer has the WAL that this replica needs (its slot is lost or missing), a new backup is taken. The
#   old data are kept in PGDATA.old until the next time, so this needs the space of three. docs/backup.md says how to use
#   them.
# * A former primary takes a new backup too, if the server that it should follow was promoted since: that has a newer
#   timeline, or another history of the same one (both were promoted, or one was restored to an earlier moment).
# * A primary that was restored from its own base backup looks like one that lost the slot: stop the replica before
#   (docs/backup.md).
# * Nothing happens while the primary is down, or if it has another system identifier: it may be a new, empty primary, and
#   this the last good copy. To start again from it, remove PGDATA.
# * A promoted replica keeps its data, also when its old primary returns.
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

# Run a command of the replication protocol, the only kind that replicator may run.
primary() {
    psql --no-psqlrc --quiet --no-align --tuples-only --dbname "$upstream dbname=replication replication=true" -c "$1"
}

# Print the state of this server: follows, lost, away, foreign, promoted or superseded.
state() {
    is_standby || { is_superseded && echo superseded || echo promoted; return; }
    theirs=$(primary 'IDENTIFY_SYSTEM' 2>/dev/null) || { echo away; return; }
    [ "${theirs%%|*}" = "$(control_value 'Database system identifier')" ] || { echo foreign; return; }
    held=$(primary "READ_REPLICATION_SLOT $slot" 2>/dev/null) || { echo away; return; }
    # type|position|timeline: all empty if there is no such slot, no position if the slot is lost.
    case $held in physical\|?*\|*) echo follows; return ;; esac
    # Checked again: it may have been promoted since, and its slot dropped.
    is_standby && echo lost || echo promoted
}

needs_backup() {
    [ ! -s "$PGDATA/PG_VERSION" ] || { ! is_standby && is_superseded; }
}

# Whether the other server was promoted apart from this one: its timeline is newer, or not in this server's history.
# Timeline 1 has no history, so it proves nothing.
is_superseded() {
    theirs=$(primary 'IDENTIFY_SYSTEM' 2>/dev/null) || return 1 # identifier|timeline|position|database
    [ "${theirs%%|*}" = "$(control_value 'Database system identifier')" ] || return 1
    timeline=${theirs#*|}
    timeline=${timeline%%|*}
    own_timeline=$(control_value "Latest checkpoint's TimeLineID")
    [ "$timeline" -le "$own_timeline" ] || return 0
    [ "$timeline" -gt 1 ] || return 1
    theirs=$(primary "TIMELINE_HISTORY $timeline" 2>/dev/null) || return 1 # file name|content
    own=$(history_until "$timeline" "$own_timeline") || return 1
    [ "${theirs#*|}" != "$own" ]
}

# Print the history of a timeline as this server's own timeline has it: the lines before the end of that timeline.
history_until() {
    sed "/^$1[[:space:]]/,\$d" "$(printf '%s/pg_wal/%08X.history' "$PGDATA" "$2")" 2>/dev/null
}

control_value() {
    pg_controldata "$PGDATA" | sed -n "s/^$1: *//p"
}

is_standby() {
    [ -e "$PGDATA/standby.signal" ]
}

# Recreate the slot: an old one may be lost, or keep WAL that the new backup contains.
create_slot() {
    case $(primary "READ_REPLICATION_SLOT $slot") in physical*) primary "DROP_REPLICATION_SLOT $slot" ;; esac
    primary "CREATE_REPLICATION_SLOT $slot PHYSICAL RESERVE_WAL" >/dev/null
}

take_backup() {
    mkdir -p "${PGDATA%/*}"
    seconds=2 # doubled after each failure: a failed backup costs the primary as much as a complete one
    until rm -rf "$copy" && create_slot && background pg_basebackup --pgdata "$copy" --dbname "$upstream" \
        --slot "$slot" --wal-method stream --checkpoint fast --write-recovery-conf && wait "$child"; do
        say "the base backup failed, trying again in $seconds s"
        pause "$seconds"
        seconds=$((seconds < 150 ? seconds * 2 : 300))
    done
    # Rename, as a partially removed directory would be taken for a complete one.
    # The old data are kept: if the primary was restored to an earlier state, they are the only newer copy.
    if [ -e "$PGDATA" ]; then
        rm -rf "$old"
        mv "$PGDATA" "$old"
    fi
    mv "$copy" "$PGDATA"
}

# Long commands run in the background: the shell handles signals while it waits, not while it runs a program. The shell
# makes them ignore SIGINT; `env` undoes that.
background() {
    child=
    env --default-signal=INT "$@" &
    child=$!
}

pause() {
    sleep "$1" &
    wait $! || true
}

# Fast shutdown: a smart one would wait for pooled connections, which never close. The signal is repeated, because a
# command that has just been started still ignores it. `$!` is a command whose id is not in `child` yet.
stop() {
    child=${child:-${!:-}}
    while [ -n "$child" ] && kill -INT "$child" 2>/dev/null; do pause 0.1; done
}

follow() {
    background "$@" -c "primary_conninfo=$upstream" -c "primary_slot_name=$slot"
}

replace_data() {
    stop
    take_backup
    follow "$@"
}

trap 'stop; rm -f "$PGPASSFILE"; exit 0' TERM INT
promoted=
if needs_backup; then take_backup; fi
follow "$@"
while kill -0 "$child" 2>/dev/null; do
    pause "${REPLICA_WATCH:-10}"
    case $(state) in
    lost)
        say 'the primary no longer has the WAL that this replica needs: taking a new base backup'
        replace_data "$@"
        ;;
    superseded)
        say "$PRIMARY_HOST was promoted apart from this server: taking a base backup of it"
        replace_data "$@"
        promoted=
        ;;
    foreign) say "the primary has another system identifier; remove $PGDATA to start again from it" ;;
    promoted)
        [ "$promoted" ] || say 'it was promoted, and keeps its data'
        promoted=yes
        ;;
    esac
done
wait "$child"
