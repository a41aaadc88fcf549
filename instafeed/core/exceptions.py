"""Exceptions that any layer raises and the API translates."""


class DependencyUnavailable(Exception):
    """A service that this one needs does not answer: not a bug, and a retry may succeed. The API answers 503."""
