"""The composition root: settings, URLs, and the WSGI and Celery applications. The rest lies in sub-packages."""

__version__ = "0.1.0"
