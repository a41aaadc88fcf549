"""The system's data services, for tests of the stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from instafeed.devstack.data_services import DataServices


@pytest.fixture(scope="module")
def services(data_services: DataServices) -> Iterator[DataServices]:
    """The system's data services. The application's database may hold the table `marks` meanwhile."""
    yield data_services
    with data_services.primary.connect(data_services.primary.url()) as connection:
        connection.execute("DROP TABLE IF EXISTS marks")
