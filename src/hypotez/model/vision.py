"""Questions about images: the request, and what the reply means. Pure."""

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypotez.errors import InvalidRequest, UpstreamError

if TYPE_CHECKING:
    from pydantic import BaseModel

Json = dict[str, Any]

PROMPT = "Describe this image."
_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


def request(
    model: str, url: str, prompt: str | None, system: str | None, response_format: "type[BaseModel] | None" = None
) -> Json:
    """The body of a chat request with one image in it."""
    parts = [{"type": "text", "text": prompt or PROMPT}, {"type": "image_url", "image_url": {"url": url}}]
    opening = [{"role": "system", "content": system}] if system else []
    body: Json = {"model": model, "messages": [*opening, {"role": "user", "content": parts}]}
    if response_format is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": _schema(response_format)}
    return body


def meaning(text: str, response_format: "type[BaseModel] | None" = None) -> Any:
    """The reply: the pydantic model that was asked for; a namespace when it is a JSON object; else the text."""
    fenced = _FENCED.match(text)
    bare = fenced[1] if fenced else text
    if response_format is not None:
        from pydantic import ValidationError

        try:
            return response_format.model_validate_json(bare)
        except ValidationError as exc:
            raise UpstreamError(f"The reply is no {response_format.__name__}: {exc}. It was: {text[:200]}") from exc
    try:
        value = json.loads(bare, object_hook=lambda fields: SimpleNamespace(**fields))
    except ValueError:
        return text
    return value if isinstance(value, SimpleNamespace) else text


def _schema(response_format: "type[BaseModel]") -> Json:
    if not (isinstance(response_format, type) and hasattr(response_format, "model_json_schema")):
        raise InvalidRequest(f"response_format must be a pydantic model, not {response_format!r}.")
    return {"name": response_format.__name__, "strict": True, "schema": _strict(response_format.model_json_schema())}


def _strict(schema: Any) -> Any:
    """The schema as OpenAI's strict mode wants it: every property required, none beside them."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items() if key != "default"}
    if isinstance(schema.get("properties"), dict):
        strict |= {"properties": {name: _strict(field) for name, field in schema["properties"].items()}}
        strict |= {"required": list(schema["properties"]), "additionalProperties": False}
    return strict
