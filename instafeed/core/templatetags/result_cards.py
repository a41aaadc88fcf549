"""Result lists of the admin that narrow screens show as cards, where each value stands beside its column's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

register = template.Library()


@register.filter
def labelled_cells(cells: Iterable[SafeString], headers: Iterable[Mapping[str, Any]]) -> Iterator[SafeString]:
    """Yield the cells of a row with their roles, and with their column's name as `data-label`.

    Narrow screens show rows and cells as blocks, which takes their roles from them.
    """
    for cell, header in zip(cells, headers, strict=True):
        is_checkbox = "action-checkbox" in header.get("class_attrib", "")
        label = "" if is_checkbox else capfirst(header["text"])
        role = "rowheader" if cell.startswith("<th") else "cell"
        tag, rest = cell[:3], cell[3:]  # "<th" or "<td"
        yield format_html('{} role="{}" data-label="{}"{}', mark_safe(tag), role, label, mark_safe(rest))  # noqa: S308
