"""Where a job's metrics shall go beside its events: OpenAI's ``wandb``, and our extension ``tensorboard``."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from hypotez.wire.bodies import Body

Json = dict[str, Any]


class Wandb(Body):
    project: str
    name: str | None = None
    entity: str | None = None
    tags: list[str] | None = None


class Tensorboard(Body):
    name: str | None = None


class Integration(Body):
    type: Literal["wandb", "tensorboard"]
    wandb: Wandb | None = None
    tensorboard: Tensorboard | None = None


def _told_where(integrations: list[Integration]) -> list[Integration]:
    for place, one in enumerate(integrations):
        if one.type == "wandb" and one.wandb is None:
            param = f"integrations[{place}].wandb"
            said = {"message": f"Missing required parameter: '{param}'.", "param": param}
            raise PydanticCustomError("refused", "{message}", said)
    return integrations


Integrations = Annotated[list[Integration], Field(max_length=5), AfterValidator(_told_where)]


def shown(requested: Sequence[Json] | None) -> list[Json]:
    """The job's ``integrations``: what was asked for, every field of it said."""
    found: list[Json] = []
    for one in requested or ():
        given = one.get(one["type"]) or {}
        if one["type"] == "wandb":
            said = {"project": given["project"], "name": given.get("name"), "entity": given.get("entity")}
            found.append({"type": "wandb", "wandb": {**said, "tags": given.get("tags") or []}})
        else:
            found.append({"type": "tensorboard", "tensorboard": {"name": given.get("name")}})
    return found
