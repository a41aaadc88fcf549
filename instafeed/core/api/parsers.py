"""JSON bodies, taken strictly: what PostgreSQL, Redis or another client could not hold is a 400 here.

Refused: anything but UTF-8, NaN and infinities (also by overflow, as 1e999), NUL characters, lone
surrogates, and nesting beyond `MAX_DEPTH`. Of a repeated key the last one counts. The size of a body is
Django's DATA_UPLOAD_MAX_MEMORY_SIZE.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH = 32  # levels; the API's own bodies have three


class StrictJSONParser(JSONParser):
    # A subclass of JSONParser: DRF reads the body of those through `request.body`, which bounds its size.

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            # RFC 8259 knows no other encoding, whatever the Content-Type's charset says.
            data = json.loads(stream.read().decode(), parse_constant=_reject_constant, parse_float=_parse_finite_float)
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except json.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: {error}") from None
        except ValueError:
            raise ParseError("The body holds a number that cannot be used.") from None
        _check_document(data)
        return data


def _reject_constant(constant: str) -> float:
    raise ValueError(constant)  # NaN and infinities, which Python's parser would take


def _parse_finite_float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise ValueError(literal)
    return value


def _check_document(data: Any) -> None:
    """Look at every key and value, level by level, as recursion is what a hostile body aims at."""
    level = [data]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise ParseError("The JSON is nested too deeply.")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("Text must not hold NUL characters.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ParseError("Text must not hold lone surrogates.") from None
