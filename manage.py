#!/usr/bin/env python
"""Run a management command. If a service does not answer, print one line instead of a traceback.

If the reader of the output has gone, as in `manage.py … | head`, the command ends without a word.
"""

import os
import select
import sys

BROKEN_PIPE_STATUS = 141  # the shell's status for a program that SIGPIPE ended


def main() -> None:
    try:
        try:
            run_command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        unread = [stream.fileno() for stream in (sys.stdout, sys.stderr) if has_no_reader(stream.fileno())]
        if not unread:
            raise  # of another connection
        for descriptor in unread:  # or Python's last flush would fail, and print that
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        sys.exit(BROKEN_PIPE_STATUS)


def has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def run_command() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")
    from instafeed.core import env

    # Commands must not leave metrics files behind.
    env.set_aside("PROMETHEUS_MULTIPROC_DIR")
    if sys.argv[1:2] == ["stack"]:
        from instafeed.devstack import foreign_settings

        foreign_settings.set_aside(sys.argv[2:])
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError, OperationalError
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        first_line = str(error).strip().splitlines()[0]
        sys.exit(f"instafeed: the database does not answer ({first_line}). Is the stack running? `make up`")
    except DatabaseError as error:
        sys.exit(f"instafeed: the database returned an error: {str(error).strip().splitlines()[0]}")
    except (RedisConnectionError, RedisTimeoutError) as error:
        sys.exit(f"instafeed: Redis does not answer ({error}). Is the stack running? `make up`")
    except RedisError as error:
        sys.exit(f"instafeed: Redis returned an error: {error}")


if __name__ == "__main__":
    main()
