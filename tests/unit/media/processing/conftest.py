from __future__ import annotations

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def restore_pixel_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore Pillow's global limit. In the product only the child process sets it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
