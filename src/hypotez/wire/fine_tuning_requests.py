"""The body of POST /v1/fine_tuning/jobs, with OpenAI's bounds.

Extensions: ``method.type`` ``kto``; in the hyperparameters ``full`` (train the weights themselves, not an adapter),
``early_stopping`` (epochs without a better validation loss, or reward), for dpo and kto ``sft_weight`` (of the
supervised loss on the replies to be given; 0 is the plain method) and, for reinforcement, ``beta`` (how strongly it is
held near the model it began as).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from hypotez.errors import InvalidRequest
from hypotez.wire.bodies import Body, Metadata, ModelName
from hypotez.wire.graders import Grader
from hypotez.wire.integrations import Integrations

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
    sft_weight: Auto | Annotated[float, Field(ge=0)] = "auto"


class ReinforcementHyperparameters(Hyperparameters):
    beta: Auto | Annotated[float, Field(ge=0, le=2)] = "auto"
    compute_multiplier: Auto | Annotated[float, Field(gt=0.00001, le=10)] = "auto"
    eval_interval: Auto | Annotated[int, Field(ge=1)] = "auto"
    eval_samples: Auto | Annotated[int, Field(ge=1, le=128)] = "auto"
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"


class Supervised(Body):
    hyperparameters: Hyperparameters | None = None


class Preference(Body):
    hyperparameters: PreferenceHyperparameters | None = None


class Reinforcement(Body):
    grader: Grader
    hyperparameters: ReinforcementHyperparameters | None = None
    response_format: Json | None = None


class MethodChoice(Body):
    type: Literal["supervised", "dpo", "kto", "reinforcement"]
    supervised: Supervised | None = None
    dpo: Preference | None = None
    kto: Preference | None = None
    reinforcement: Reinforcement | None = None


OF: Mapping[str, type[Hyperparameters]] = {
    "supervised": Hyperparameters,
    "dpo": PreferenceHyperparameters,
    "kto": PreferenceHyperparameters,
    "reinforcement": ReinforcementHyperparameters,
}


class CreateJob(Body):
    model: ModelName
    training_file: FileId
    validation_file: FileId | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    hyperparameters: Hyperparameters | None = None  # the older place
    method: MethodChoice | None = None
    integrations: Integrations | None = None
    metadata: Metadata | None = None

    def way(self) -> tuple[str, Json]:
        """The method's name and every hyperparameter, ``auto`` where the client left it open.

        Raises ``InvalidRequest`` where the two places for hyperparameters contradict each other.
        """
        kind = self.method.type if self.method is not None else "supervised"
        chosen = getattr(self.method, kind, None) if self.method is not None else None
        nested = chosen.hyperparameters if isinstance(chosen, Supervised | Preference | Reinforcement) else None
        if nested is not None and self.hyperparameters is not None:
            raise InvalidRequest(
                "'hyperparameters' and 'method' cannot both be given: the first is the older place for the same.",
                param="hyperparameters",
            )
        given = nested or self.hyperparameters
        values = OF[kind](**({} if given is None else given.sent())).model_dump(mode="json")
        return kind, {key: "auto" if value is None else value for key, value in values.items()}

    def reinforcement(self) -> Reinforcement | None:
        """What the method of that name cannot do without. Raises ``InvalidRequest`` where it was not given."""
        if self.method is None or self.method.type != "reinforcement":
            return None
        if self.method.reinforcement is None:
            raise InvalidRequest(
                "Missing required parameter: 'method.reinforcement'.",
                param="method.reinforcement",
                code="missing_required_parameter",
            )
        return self.method.reinforcement


class CreatePermissions(Body):
    project_ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1)]
