"""The environment in which PostgreSQL's programs, such as `pg_dump`, reach the primary.

A URL among their arguments would show its password to all users of the machine.
"""

from __future__ import annotations

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

# libpq has no variables for the keepalives and the like, which the programs do not need.
_VARIABLES = {option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}


def connection_environment(url: str) -> dict[str, str]:
    """Return libpq's variables for a `postgresql://` URL. The programs refuse a server that is not a primary."""
    options = {"target_session_attrs": "primary"} | conninfo_to_dict(url)
    return {_VARIABLES[name]: str(value) for name, value in options.items() if name in _VARIABLES}
