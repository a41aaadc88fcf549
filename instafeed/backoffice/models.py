"""The back office's own table: the samples that the dashboard draws."""

from django.db import models


class Sample(models.Model):
    """The metrics of one minute, for the dashboard. One row a minute (`retention` deletes old ones)."""

    at = models.DateTimeField(primary_key=True)
    metrics = models.JSONField()  # {metric name: number, or null if its service did not answer}

    class Meta:
        verbose_name = "dashboard sample"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"
