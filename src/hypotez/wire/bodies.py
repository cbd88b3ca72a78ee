"""What request bodies have in common: strict types, no unknown fields, metadata in OpenAI's limits.

Read a body with ``body.model_dump(exclude_unset=True)``: unset, None and 0 are different things.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Json = dict[str, Any]

ModelName = Annotated[str, Field(min_length=1, max_length=256)]

MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512


class Body(BaseModel):
    """A request body. ``"1"`` is not a number and an unknown field is an error, as at OpenAI."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    def sent(self) -> Json:
        """Exactly the fields the client sent."""
        return self.model_dump(mode="json", exclude_unset=True)


def _limited(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_PAIRS:
        raise PydanticCustomError(
            "object_above_max_properties",
            "Invalid 'metadata': too many properties. Expected an object with at most {limit} properties, "
            "but got an object with {count} properties instead.",
            {"limit": MAX_PAIRS, "count": len(metadata)},
        )
    for key, value in metadata.items():
        if len(key) > MAX_KEY:
            raise PydanticCustomError(
                "string_above_max_length",
                "Invalid 'metadata': key too long. Expected a key with maximum length {limit}, "
                "but got a key with length {count} instead.",
                {"limit": MAX_KEY, "count": len(key)},
            )
        if len(value) > MAX_VALUE:
            raise PydanticCustomError(
                "string_above_max_length",
                "Invalid 'metadata.{key}': string too long. Expected a string with maximum length {limit}, "
                "but got a string with length {count} instead.",
                {"key": key, "limit": MAX_VALUE, "count": len(value)},
            )
    return metadata


Metadata = Annotated[dict[str, str], AfterValidator(_limited)]
