"""Programs that tests need and Debian has."""

from __future__ import annotations

import os

import pytest


def needs(program: str | None, package: str) -> pytest.MarkDecorator:
    """Skip tests without this program, given as its path. With DEPLOY_TESTS=required they run, and fail."""
    is_required = os.environ.get("DEPLOY_TESTS") == "required"
    return pytest.mark.skipif(not (program or is_required), reason=f"a program is missing: apt-get install {package}")
