"""How the running system is: health checks of each part, and the metrics that are measured at each scrape.

`core.observability` is about what the code records of itself: metrics, logs, errors. This package asks the parts.
"""
