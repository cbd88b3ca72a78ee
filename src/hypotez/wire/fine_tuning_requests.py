"""The body of POST /v1/fine_tuning/jobs, with OpenAI's bounds.

Extensions: ``method.type`` ``kto``; in the hyperparameters ``full`` (train the weights themselves, not an adapter) and
``early_stopping`` (epochs without a better validation loss).
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from hypotez.errors import InvalidRequest
from hypotez.wire.bodies import Body, Metadata, ModelName

Json = dict[str, Any]
Auto = Literal["auto"]
FileId = Annotated[str, Field(max_length=128)]

NUMBERS = ("n_epochs", "batch_size", "learning_rate_multiplier")


class Hyperparameters(Body):
    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=256)] | None = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0)] = "auto"
    full: bool = False
    early_stopping: Annotated[int, Field(ge=0)] = 0


class PreferenceHyperparameters(Hyperparameters):
    beta: Auto | Annotated[float, Field(gt=0, le=2)] = "auto"


class Supervised(Body):
    hyperparameters: Hyperparameters | None = None


class Preference(Body):
    hyperparameters: PreferenceHyperparameters | None = None


class MethodChoice(Body):
    type: Literal["supervised", "dpo", "kto", "reinforcement"]
    supervised: Supervised | None = None
    dpo: Preference | None = None
    kto: Preference | None = None
    reinforcement: Json | None = None


class Wandb(Body):
    project: str
    name: str | None = None
    entity: str | None = None
    tags: list[str] | None = None


class Integration(Body):
    type: Literal["wandb"]
    wandb: Wandb


class CreateJob(Body):
    model: ModelName
    training_file: FileId
    validation_file: FileId | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    hyperparameters: Hyperparameters | None = None  # the older place
    method: MethodChoice | None = None
    integrations: Annotated[list[Integration], Field(max_length=5)] | None = None
    metadata: Metadata | None = None

    def way(self) -> tuple[str, Json]:
        """The method's name and every hyperparameter, ``auto`` where the client left it open.

        Raises ``InvalidRequest`` where the two places for hyperparameters contradict each other.
        """
        kind = self.method.type if self.method is not None else "supervised"
        model = Hyperparameters if kind == "supervised" else PreferenceHyperparameters
        chosen = getattr(self.method, kind, None) if self.method is not None else None
        nested = chosen.hyperparameters if isinstance(chosen, Supervised | Preference) else None
        if nested is not None and self.hyperparameters is not None:
            raise InvalidRequest(
                "'hyperparameters' and 'method' cannot both be given: the first is the older place for the same.",
                param="hyperparameters",
            )
        given = nested or self.hyperparameters
        values = model(**({} if given is None else given.sent())).model_dump(mode="json")
        return kind, {key: "auto" if value is None else value for key, value in values.items()}


class CreatePermissions(Body):
    project_ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1)]
