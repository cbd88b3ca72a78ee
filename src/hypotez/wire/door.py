"""The one door to ``openai.types``: what we answer is built as the official SDK will read it."""

from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]


def shape(model: type[BaseModel], /, **fields: Any) -> Json:
    """A response body of the SDK's type, with exactly the fields given (extensions too).

    Raises pydantic's ``ValidationError`` when the SDK would not read it back: a fault of ours, never of the client.
    """
    return model.model_validate(fields).model_dump(mode="json", exclude_unset=True, by_alias=True)
