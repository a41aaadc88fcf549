"""The public OpenAPI document is one that client generators understand, and allows what the strict one allows."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from instafeed.core.api.error_codes import ERROR_CODES
from instafeed.core.api.openapi.public_document import OPEN_ENUM_NOTE, StrictSchemaGenerator

Json = dict[str, Any]

# Modules, programs and classes: app developers know none of them.
INTERNAL = re.compile(
    r"\b(?:redis|postgres\w*|celery|django|gunicorn|nginx|wal|beat|replica of|serializer|view ?set|middleware)\b"
    r"|\b(?:accounts|feeds|posts|social|media|instafeed)\.[a-z_]+",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def strict() -> Json:
    return json.loads(json.dumps(StrictSchemaGenerator().get_schema(request=None, public=True)))


@pytest.fixture(scope="module")
def public() -> Json:
    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))


def nodes(node: Any) -> Iterator[Json]:
    """Yield every object in the document, except for examples."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in ("example", "examples"):
                yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def bodies(document: Json) -> Iterator[tuple[tuple[str, str, str], Json]]:
    """Yield each body that an operation documents itself, by method, path, and "request" or its status."""
    for method, path, operation in operations(document):
        found = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for name, body in found.items():
            for content in body.get("content", {}).values():
                yield (method, path, name), content


def validator(document: Json, schema: Json) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def test_it_is_served_without_authentication_and_names_the_site_that_was_asked(client: Client, public: Json) -> None:
    response = client.get("/schema", headers={"Host": "localhost:8123"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("application/vnd.oai.openapi+json")
    served = json.loads(response.content)
    assert served.pop("servers") == [{"url": "http://localhost:8123", "description": "This site."}]
    assert served == {name: value for name, value in public.items() if name != "servers"}


def test_it_has_a_licence_and_a_server(public: Json) -> None:
    assert public["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert public["servers"][0]["url"].startswith("http")


def test_every_operation_says_whether_it_needs_a_token(public: Json) -> None:
    without = {path for _, path, operation in operations(public) if operation["security"] == []}
    assert {"/api/v1/auth/register", "/api/v1/auth/token", "/api/v1/auth/token/refresh", "/health"} <= without
    assert "/api/v1/feed" not in without


@pytest.mark.parametrize(
    "keyword",
    [
        "propertyNames",
        "unevaluatedProperties",
        "uniqueItems",
        "readOnly",
        "writeOnly",
        "anyOf",
        "allOf",
        "not",
        "links",
    ],
)
def test_keywords_that_generators_misread_are_absent(public: Json, keyword: str) -> None:
    assert not [node for node in nodes(public) if keyword in node]


def test_the_strict_document_has_these_rules(strict: Json) -> None:
    text = json.dumps(strict)
    for keyword in ("propertyNames", "unevaluatedProperties", "uniqueItems", "anyOf", "links", "Anything"):
        assert f'"{keyword}"' in text


def test_no_component_refers_to_itself(public: Json) -> None:
    for name, schema in public["components"]["schemas"].items():
        assert f'"#/components/schemas/{name}"' not in json.dumps(schema)


def test_no_component_is_named_like_one_of_its_fields(public: Json) -> None:
    """The code that openapi-python-client generates for such a component is wrong."""
    for name, schema in public["components"]["schemas"].items():
        assert name.lower() not in {field.replace("_", "").lower() for field in schema.get("properties", {})}


def test_every_component_is_used(public: Json) -> None:
    text = json.dumps(public)
    for name in public["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


def test_nullable_objects_are_the_same_component_or_null(public: Json) -> None:
    alternatives = [node["oneOf"] for node in nodes(public) if "oneOf" in node]
    assert [{"$ref": "#/components/schemas/Relationship"}, {"type": "null"}] in alternatives
    for one, other in alternatives:
        assert one.keys() == {"$ref"}
        assert other == {"type": "null"}
    assert not [node for node in nodes(public) if node.get("type") == "null" and len(node) > 1]


def test_patterns_are_few_and_cursors_have_none(public: Json) -> None:
    patterns = {node["pattern"] for node in nodes(public) if isinstance(node.get("pattern"), str)}
    assert patterns == {"^[0-9]+$", "^[A-Za-z0-9._]+$", "^[a-z0-9._]{1,30}$"}


def test_a_website_is_one_string(public: Json) -> None:
    website = public["components"]["schemas"]["ProfileChangeRequest"]["properties"]["website"]
    assert (website["type"], website["maxLength"]) == ("string", 200)


def test_enumerations_of_responses_are_open_and_those_of_requests_say_so(public: Json) -> None:
    enumerations = [node for node in nodes(public) if "enum" in node]
    open_enumerations = [node for node in nodes(public) if "x-extensible-enum" in node]
    assert len(enumerations) >= 3
    assert len(open_enumerations) >= 10
    for node in (*enumerations, *open_enumerations):
        assert OPEN_ENUM_NOTE in node["description"]
    for _, content in (body for body in bodies(public) if body[0][2] != "request"):
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        assert '"enum"' not in json.dumps(public["components"]["schemas"].get(name, {})), name


def test_named_components_describe_every_body_and_nothing_is_anonymous(public: Json) -> None:
    for place, content in bodies(public):
        schema = content["schema"]
        assert "$ref" in schema or "$ref" in schema.get("items", {}) or place[1] == "/api/v1/stream", place
    for name, schema in public["components"]["schemas"].items():
        inline = [one for one in schema.get("properties", {}).values() if "properties" in one]
        assert not inline or name == "HealthReport" or name == "ReadinessReport", name
    assert set(public["components"]["schemas"]["UploadForm"]["properties"]) == {"method", "url", "fields"}


def test_lists_of_media_keep_their_order(public: Json) -> None:
    for name in ("Post", "PostRequest"):
        media = public["components"]["schemas"][name]["properties"]["media"]
        assert media["type"] == "array"
        assert "uniqueItems" not in media


def test_texts_name_no_internals(public: Json) -> None:
    for node in nodes(public):
        for keyword in ("description", "summary"):
            if isinstance(text := node.get(keyword), str):
                assert not INTERNAL.search(text), text


def test_error_codes_are_listed_with_their_meaning(public: Json) -> None:
    assert public["components"]["schemas"]["ApiErrorItem"]["properties"]["code"]["x-extensible-enum"] == list(
        ERROR_CODES
    )
    for code, entry in ERROR_CODES.items():
        assert f"| `{code}` | {entry.status} | {entry.meaning} |" in public["info"]["description"]


def test_what_the_strict_document_allows_the_public_one_allows(strict: Json, public: Json) -> None:
    in_public = dict(bodies(public))
    checked = 0
    for place, content in bodies(strict):
        for example in content["examples"].values():
            validator(strict, content["schema"]).validate(example["value"])
            validator(public, in_public[place]["schema"]).validate(example["value"])
            checked += 1
    assert checked > 50


def test_an_unknown_kind_of_notification_is_valid(public: Json) -> None:
    place = ("get", "/api/v1/notifications", "200")
    content = dict(bodies(public))[place]
    page = copy.deepcopy(next(iter(content["examples"].values()))["value"])
    page["results"][0]["kind"] = "a_kind_of_next_year"
    validator(public, content["schema"]).validate(page)
