"""Erasure of a user's exports (`accounts.personal_data_registry`). An export does not list exports."""

from __future__ import annotations

from accounts.personal_data_registry import PersonalDataCategory, register
from instafeed.exports import requests


def register_categories() -> None:
    register(PersonalDataCategory("exports", ["exports.Export.user"], erase=requests.delete_all))
