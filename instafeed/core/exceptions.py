"""What says that a part of the service is away: the API answers it with 503, wherever it comes from."""


class DependencyUnavailable(Exception):
    """Neither the caller's fault nor a bug: the same may work a little later."""
