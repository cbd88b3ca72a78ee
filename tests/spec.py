"""Bodies against OpenAI's published specification, where a copy of it is at hand (else the check is skipped)."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
from pydantic import BaseModel

PATH = Path(__file__).parents[2] / "shared" / "openai-spec" / "openai-subset.json"


def conforms(name: str, body: Any) -> None:
    """Assert that ``body`` (JSON or an object of the SDK) satisfies the schema ``name``."""
    if not PATH.exists():
        return
    if isinstance(body, BaseModel):
        body = body.model_dump(mode="json", exclude_unset=True, by_alias=True)
    errors = list(_validator(name).iter_errors(body))
    assert not errors, "\n".join(f"{name}{error.json_path[1:]}: {error.message[:300]}" for error in errors)


@functools.cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schemas = _components()
    assert name in schemas, f"no schema {name}"
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}})


@functools.cache
def document() -> dict[str, Any]:
    """The whole specification."""
    return _modern(json.loads(PATH.read_text()))


def _components() -> dict[str, Any]:
    return document()["components"]["schemas"]


def _modern(node: Any) -> Any:
    """OpenAPI 3.0 words in those of JSON Schema 2020."""
    if isinstance(node, list):
        return [_modern(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _modern(value) for key, value in node.items()}
    for bound, edge in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if node.get(bound) is True:
            node[bound] = node.pop(edge)
        elif node.get(bound) is False:
            del node[bound]
    if isinstance(node.get("oneOf"), list):
        node["anyOf"] = node.pop("oneOf")  # the branches overlap, so "exactly one" is never meant
    if node.pop("nullable", False) is True:
        return {"anyOf": [node, {"type": "null"}]}
    return node
