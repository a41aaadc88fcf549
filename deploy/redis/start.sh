#!/bin/sh
# start.sh FILE [option …]: redis-server with that file and those options, and the password from REDIS_PASSWORD.
# By standard input: everybody on the machine can read a command line.
exec redis-server "$@" - <<SECRET
requirepass "$REDIS_PASSWORD"
SECRET
