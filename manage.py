#!/usr/bin/env python
"""Run a management command. If a service does not answer, print one line instead of a traceback."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")
    # Commands must not leave metrics files behind.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
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
