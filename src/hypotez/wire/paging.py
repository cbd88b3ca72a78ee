"""Lists: what a client may ask for, and the envelope it gets back."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


Limit = Annotated[int, Field(ge=1, le=100)]


class ListQuery(BaseModel):
    """Query parameters of a list; ``after`` and ``before`` are ids of the list's own objects."""

    model_config = ConfigDict(extra="ignore")
    limit: Limit = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


def listing(items: Sequence[Json], has_more: bool) -> Json:
    """OpenAI's list envelope. ``first_id`` and ``last_id`` of an empty page are empty: the specification bars null."""
    ids = [str(item["id"]) for item in items]
    return {
        "object": "list",
        "data": list(items),
        "first_id": ids[0] if ids else "",
        "last_id": ids[-1] if ids else "",
        "has_more": has_more,
    }


def listing_text(items: Sequence[tuple[str, str]], has_more: bool) -> str:
    """The same envelope as JSON text, from (id, JSON text) pairs as the store keeps them."""
    first, last = (json.dumps(items[place][0] if items else None) for place in (0, -1))
    data = ",".join(text for _, text in items)
    return f'{{"object":"list","data":[{data}],"first_id":{first},"last_id":{last},"has_more":{json.dumps(has_more)}}}'
