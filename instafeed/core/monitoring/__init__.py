"""The state of the running system: health checks of its services, and gauges that are measured at each scrape.

`core.observability` records what the code itself does (metrics, logs, errors). This package queries the services.
"""
