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
# * A primary that is away changes nothing. Nor does one with another history: it may be an empty one in the other's
#   place, or one restored from a backup, and this the last good copy. Who wants to begin anew removes PGDATA.
# * A primary that once lacked what is here goes on without it, and by its positions alone would have caught up after a
#   while. So PGDATA.strayed keeps that in mind, over restarts too; if the right primary is back, remove that file.
# * A replica that was promoted is watched no more.
set -eu

slot=${REPLICA_SLOT:-replica}
copy=$PGDATA.new
old=$PGDATA.old
strayed=$PGDATA.strayed
ours=
child=
umask 077
PGPASSFILE=$(mktemp)
export PGPASSFILE
echo "*:*:*:replicator:$POSTGRES_REPLICATION_PASSWORD" >"$PGPASSFILE"
upstream="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator passfile=$PGPASSFILE connect_timeout=5"

say() {
    echo "replica: $*" >&2
}

# A command of the replication protocol, at a server: replicator may say nothing else.
ask() {
    psql --no-psqlrc --quiet --no-align --tuples-only --dbname "$1 dbname=replication replication=true" -c "$2"
}

primary() {
    ask "$upstream" "$1"
}

# system|timeline|position|: how far WAL has come here, replayed or not.
here() {
    ask "host=127.0.0.1 user=replicator passfile=$PGPASSFILE connect_timeout=5" IDENTIFY_SYSTEM 2>/dev/null
}

# The position $1, as 16/B374D848, is beyond $2.
beyond() {
    high=$(printf '%d' "0x${1%/*}") low=$(printf '%d' "0x${1#*/}")
    than_high=$(printf '%d' "0x${2%/*}") than_low=$(printf '%d' "0x${2#*/}")
    [ "$high" -gt "$than_high" ] || { [ "$high" -eq "$than_high" ] && [ "$low" -gt "$than_low" ]; }
}

# Up to where the primary, on timeline $1 and at $2, has what was written on timeline $3: nothing if it was never on it.
end_of() {
    [ "$1" != "$3" ] || { echo "$2"; return; }
    [ "$1" -gt "$3" ] || return 0
    left=$(primary "TIMELINE_HISTORY $1" 2>/dev/null) || return 1
    # name|lines of: timeline, position at which it was left, reason
    echo "$left" | sed -n -e 's/^[^|]*|//' -e "s/^$3[[:space:]]\{1,\}\([0-9A-F]*\/[0-9A-F]*\).*/\1/p"
}

# shared, if the primary has all that was here when $ours was asked for; foreign, strayed or away. In this order: it
# always has what it has sent.
compare() {
    theirs=$(primary IDENTIFY_SYSTEM 2>/dev/null) || { echo away; return; }
    [ -n "$ours" ] || { echo shared; return; }
    # shellcheck disable=SC2046  # system, timeline and position of both
    set -- $(echo "$theirs $ours" | tr '|' ' ')
    [ "$1" = "$4" ] || { echo foreign; return; }
    end=$(end_of "$2" "$3" "$5") || { echo away; return; }
    if [ -z "$end" ] || beyond "$6" "$end"; then : >"$strayed"; fi
    if [ -e "$strayed" ]; then echo strayed; else echo shared; fi
}

# follows, lost, away, foreign, strayed or promoted
standing() {
    [ -e "$PGDATA/standby.signal" ] || { echo promoted; return; }
    [ -n "$ours" ] || { echo away; return; }
    compared=$(compare)
    [ "$compared" = shared ] || { echo "$compared"; return; }
    held=$(primary "READ_REPLICATION_SLOT $slot" 2>/dev/null) || { echo away; return; }
    # type|position|timeline: all empty if there is no such slot, no position if it is lost.
    case $held in physical\|?*\|*) echo follows ;; *) echo lost ;; esac
}

# A slot from before may be lost, or hold back what the new copy has anyway.
make_slot() {
    case $(primary "READ_REPLICATION_SLOT $slot") in physical*) primary "DROP_REPLICATION_SLOT $slot" ;; esac
    primary "CREATE_REPLICATION_SLOT $slot PHYSICAL RESERVE_WAL" >/dev/null
}

# From a primary that has what was here, if anything was; or none, if it is another one by now.
take_copy() {
    mkdir -p "${PGDATA%/*}"
    until rm -rf "$copy" && [ "$(compare)" = shared ] && make_slot &&
        background pg_basebackup --pgdata "$copy" --dbname "$upstream" \
        --slot "$slot" --wal-method stream --checkpoint fast --write-recovery-conf && wait "$child"; do
        say 'no copy yet, trying again'
        pause 2
        case $(compare) in foreign | strayed) return ;; esac
    done
    # By renames: a directory that is half removed would be taken for a copy.
    rm -rf "$old"
    [ ! -e "$PGDATA" ] || mv "$PGDATA" "$old"
    mv "$copy" "$PGDATA"
    rm -rf "$old" "$strayed"
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
    ours=$(here) || ours=
    case $(standing) in
    lost)
        say 'the primary keeps no more what is missing here: making a new copy'
        stop
        take_copy
        follow "$@"
        ;;
    foreign) say "the primary has another history; remove $PGDATA to begin anew from it" ;;
    strayed)
        say "the primary lacks what is here, as one restored from a backup does; remove $PGDATA to begin anew from it," \
            "or $strayed when the right one is back"
        ;;
    promoted) break ;;
    esac
done
wait "$child"
