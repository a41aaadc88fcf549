"""Serializer fields that do not convert JSON types: a number is not a text, "yes" is not true."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instafeed.core.db.snowflake import parse_id

ID_PATTERN = "^([1-9][0-9]{0,17}|[1-8][0-9]{18})$"  # below 9 * 10**18; ids reach that in 2092


class StrictCharField(serializers.CharField):
    """Accept JSON strings only. Also a mixin for CharField's other subclasses."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class VerbatimCharField(StrictCharField):
    """A text that is stored exactly as sent: white space is not trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)


class NonBlankCharField(VerbatimCharField):
    """A text with at least one character that is not white space."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not value.strip():
            self.fail("blank")
        return value


class StrictBooleanField(serializers.BooleanField):
    """Accept JSON's true and false only."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field({"type": "string", "pattern": ID_PATTERN})
class IdField(serializers.Field):
    """A read-only id as a decimal string: its 64 bits exceed JavaScript's numbers."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["read_only"] = True
        super().__init__(**kwargs)

    def to_representation(self, value: int) -> str:
        return str(value)


@extend_schema_field({"type": "string", "pattern": ID_PATTERN})
class IdInputField(serializers.Field):
    """An id in a request body: a decimal string of at most 63 bits."""

    default_error_messages = {"invalid": "Not an id: a decimal string is expected."}

    def to_internal_value(self, data: Any) -> int:
        parsed = parse_id(data) if isinstance(data, str) else None
        if parsed is None:
            self.fail("invalid")
        return parsed

    def to_representation(self, value: int) -> str:
        return str(value)
