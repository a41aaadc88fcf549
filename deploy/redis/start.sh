#!/bin/sh
# start.sh FILE [option …]: run redis-server with that file, those options and the password from REDIS_PASSWORD.
# The password is passed on standard input, as all users of the machine can read command lines.
exec redis-server "$@" - <<SECRET
requirepass "$REDIS_PASSWORD"
SECRET
