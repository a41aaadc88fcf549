"""Derive the public OpenAPI document from the strict one.

The code describes the API once, as a strict document with every rule that JSON Schema can express. `tests.fuzz`
compares requests and responses with it. Client generators refuse or misread many of these rules, so `/schema` and
`openapi.json` are a plain document without them. Every body that the strict document allows, the public one allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from instafeed.core.api.fields import ID_PATTERN

Json = dict[str, Any]

OPEN_ENUM_KEYWORD = "x-extensible-enum"
OPEN_ENUM_NOTE = "More values may be added: ignore a value that you do not know."
_SCHEMAS, _RESPONSES = "#/components/schemas/", "#/components/responses/"
# `uniqueItems` turns lists into sets without an order. Requests and responses are different components, so `readOnly`
# and `writeOnly` only make generators create both once more. The others are rules that no generator knows.
_DROPPED_KEYWORDS = {"propertyNames", "unevaluatedProperties", "uniqueItems", "readOnly", "writeOnly"}
# Patterns that help people, by the strict one. All others are dropped: cursors are opaque, and so on.
_PUBLIC_PATTERNS = {
    ID_PATTERN: "^[0-9]+$",
    "^[A-Za-z0-9._]+$": "^[A-Za-z0-9._]+$",
    "^[a-z0-9._]{1,30}$": "^[a-z0-9._]{1,30}$",
}
_PATCH_PREFIX = "Patched"
_IN_PLACE_OF_STRINGS = ("oneOf", "anyOf")


class StrictSchemaGenerator(SchemaGenerator):
    """Generates the strict document."""

    is_strict = True


def derive_public_document(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """Return the public document, unless the generator is for the strict one (the last postprocessing hook)."""
    return result if getattr(generator, "is_strict", False) else _PublicDocument(result).derive()


class _PublicDocument:
    def __init__(self, strict: Json) -> None:
        self._strict = strict
        self._schemas: Json = strict["components"]["schemas"]
        bodies = [operation for _, operation in _operations(strict)]
        in_requests = [[operation.get("requestBody"), operation.get("parameters")] for operation in bodies]
        self._request_components = _reachable(self._schemas, in_requests)

    def derive(self) -> Json:
        components = self._strict["components"]
        document = {
            **self._strict,
            "paths": {
                path: {method: self._operation(operation) for method, operation in item.items()}
                for path, item in self._strict["paths"].items()
            },
            "components": {
                **components,
                "schemas": {name: self._component(name, schema) for name, schema in self._schemas.items()},
                "responses": {name: self._response(response) for name, response in components["responses"].items()},
                "headers": {name: self._with_schema(header, False) for name, header in components["headers"].items()},
            },
        }
        self._drop_unused_components(document)
        return _renamed(document, self._new_names())

    def _operation(self, operation: Json) -> Json:
        changed = {**operation, "security": operation.get("security", [])}
        if "parameters" in operation:
            changed["parameters"] = [self._with_schema(one, True) for one in operation["parameters"]]
        if "requestBody" in operation:
            changed["requestBody"] = self._body(operation["requestBody"], True)
        changed["responses"] = {status: self._response(response) for status, response in operation["responses"].items()}
        return changed

    def _response(self, response: Json) -> Json:
        return {name: value for name, value in self._body(response, False).items() if name != "links"}

    def _body(self, body: Json, is_request: bool) -> Json:
        if "content" not in body:
            return body
        content = {kind: self._with_schema(media, is_request) for kind, media in body["content"].items()}
        return {**body, "content": content}

    def _with_schema(self, holder: Json, is_request: bool) -> Json:
        return {**holder, "schema": self._plain(holder["schema"], is_request)} if "schema" in holder else holder

    def _component(self, name: str, schema: Json) -> Json:
        if "enum" in schema:
            return {**schema, "description": _sentences(schema.get("description", ""), OPEN_ENUM_NOTE)}
        return self._plain(schema, name in self._request_components)

    def _plain(self, schema: Json, is_request: bool) -> Json:
        """Return a schema without strict rules, and with open enumerations if it is part of a response."""
        if not is_request and (values := self._enum_values(schema)):
            return _open_enum(schema, values)
        plain = {name: value for name, value in schema.items() if name not in _DROPPED_KEYWORDS}
        if "pattern" in plain:
            pattern = _PUBLIC_PATTERNS.get(plain.pop("pattern"))
            plain |= {"pattern": pattern} if pattern else {}
        for keyword in _IN_PLACE_OF_STRINGS:
            if keyword in plain and _are_rules(plain[keyword]):
                del plain[keyword]
            elif keyword in plain and all(one.get("type") == "string" for one in plain[keyword]):
                plain = _one_string(plain.pop(keyword)) | plain
        for keyword in ("oneOf", "anyOf", "allOf"):
            if keyword in plain:
                plain[keyword] = [self._plain(one, is_request) for one in plain[keyword]]
        for keyword in ("items", "additionalProperties"):
            if isinstance(plain.get(keyword), dict):
                plain[keyword] = self._plain(plain[keyword], is_request)
        if "properties" in plain:
            plain["properties"] = {name: self._plain(one, is_request) for name, one in plain["properties"].items()}
        return plain

    def _enum_values(self, schema: Json) -> list[str]:
        """Return the values of an enumeration: the schema itself, a reference to it, or one with a description."""
        parts = schema.get("allOf", [])
        target = parts[0] if len(parts) == 1 else schema
        if target.get("$ref", "").startswith(_SCHEMAS):
            target = self._schemas[target["$ref"].removeprefix(_SCHEMAS)]
        values: list[str] = target.get("enum", [])
        return values

    def _drop_unused_components(self, document: Json) -> None:
        components = document["components"]
        responses, schemas = components["responses"], components["schemas"]
        referred = set(_referred_names(document["paths"], _RESPONSES))
        components["responses"] = {name: responses[name] for name in responses if name in referred}
        self._schemas = schemas
        used = _reachable(schemas, [document["paths"], components["responses"]])
        components["schemas"] = {name: schemas[name] for name in schemas if name in used}

    def _new_names(self) -> dict[str, str]:
        """Return names without the prefix for the bodies of PATCH, which no other component has."""
        patched = [name for name in self._schemas if name.startswith(_PATCH_PREFIX)]
        names = {name: name.removeprefix(_PATCH_PREFIX) for name in patched}
        return {old: new for old, new in names.items() if new not in self._schemas}


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def find_response_components(document: Json, operation: Json) -> list[Json]:
    """Return the schemas of all components that the operation's own responses contain."""
    schemas = document["components"]["schemas"]
    return [schemas[name] for name in sorted(_reachable(schemas, operation["responses"]))]


def _reachable(schemas: Json, node: Any) -> set[str]:
    """Return the names of the schemas that `node` refers to, directly or not."""
    found: set[str] = set()
    waiting = list(_referred_names(node))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _referred_names(schemas[name])
    return found


def _are_rules(alternatives: list[Json]) -> bool:
    """Return whether alternatives only say which properties must be there together."""
    return all({"required", "not"} & one.keys() and "type" not in one for one in alternatives)


def _one_string(alternatives: list[Json]) -> Json:
    lengths = [one["maxLength"] for one in alternatives if "maxLength" in one]
    return {"type": "string"} | ({"maxLength": max(lengths)} if len(lengths) == len(alternatives) else {})


def _open_enum(schema: Json, values: list[str]) -> Json:
    listed = ", ".join(f"`{value}`" for value in values)
    description = _sentences(schema.get("description", ""), f"Known values: {listed}. {OPEN_ENUM_NOTE}")
    kept = {name: schema[name] for name in ("deprecated",) if name in schema}
    return {"type": "string", OPEN_ENUM_KEYWORD: values, "description": description, **kept}


def _sentences(*texts: str) -> str:
    return " ".join(text for text in texts if text)


def _referred_names(node: Any, prefix: str = _SCHEMAS) -> Iterator[str]:
    """Yield the names of the components under `prefix` that `node` refers to."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(prefix):
            yield reference.removeprefix(prefix)
        for value in node.values():
            yield from _referred_names(value, prefix)
    elif isinstance(node, list):
        for value in node:
            yield from _referred_names(value, prefix)


def _renamed(document: Json, names: dict[str, str]) -> Json:
    def rename(node: Any) -> Any:
        if isinstance(node, dict):
            renamed = {key: rename(value) for key, value in node.items()}
            if isinstance(renamed.get("$ref"), str):
                old = renamed["$ref"].removeprefix(_SCHEMAS)
                renamed["$ref"] = _SCHEMAS + names[old] if old in names else renamed["$ref"]
            return renamed
        return [rename(value) for value in node] if isinstance(node, list) else node

    document = rename(document)
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {names.get(name, name): schema for name, schema in schemas.items()}
    return document
