"""The backlog gauges. They need committed rows: a scrape queries them over a connection of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from feeds import metrics
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState
from tests.db.feeds.feed_setup import create_posts, deliver_all
from tests.support.factories import UserFactory
from tests.support.metric_values import scrape_metrics


@pytest.mark.usefixtures("fresh_probes")
@pytest.mark.django_db(transaction=True)
def test_fan_out_backlog_is_measured_at_each_scrape(client: Client) -> None:
    dead, *_ = create_posts(UserFactory(), 3)
    FanOut.objects.filter(pk=dead).update(state=JobState.DEAD)
    FanOut.objects.update(created_at=F("created_at") - timedelta(hours=1))
    values = scrape_metrics(client)
    assert values[("instafeed_fan_outs_open",)] == 2
    assert values[("instafeed_fan_outs_dead",)] == 1
    assert 3_600 < values[("instafeed_fan_out_oldest_seconds",)] < 7_200
    deliver_all()
    assert metrics.fan_out_gauges()["instafeed_fan_out_oldest_seconds"] == 0
