"""Strict-Transport-Security, by the settings that operators choose."""

from __future__ import annotations

import os
import runpy

import pytest
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory
from pytest_django import Settings

from instafeed.devstack.state import PROJECT_ROOT
from tests.unit.core.test_invalid_settings import PRODUCTION

BOTH = {"HSTS_INCLUDE_SUBDOMAINS": "true", "HSTS_PRELOAD": "true"}


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, "max-age=31536000"),
        ({"HSTS_INCLUDE_SUBDOMAINS": "true"}, "max-age=31536000; includeSubDomains"),
        (BOTH, "max-age=31536000; includeSubDomains; preload"),
        (BOTH | {"HTTPS_ONLY": "false"}, None),
    ],
)
def test_subdomains_and_preload_are_opt_in(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str | None
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", PRODUCTION | variables)
        loaded = runpy.run_path(str(PROJECT_ROOT / "instafeed" / "settings.py"))
    for name in ("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD"):
        setattr(settings, name, loaded[name])
    response = SecurityMiddleware(lambda request: HttpResponse())(RequestFactory().get("/", secure=True))
    assert isinstance(response, HttpResponse)
    assert response.headers.get("Strict-Transport-Security") == header
