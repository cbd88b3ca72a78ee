"""Graders as OpenAI writes them, in requests: string_check, text_similarity, python, score_model, label_model, multi.

``multi.graders`` is an object of graders by name, as OpenAI's guide has it; the one grader that its specification has
there is taken as an object of one. Knows no grading.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from hypotez.wire.bodies import Body

Json = dict[str, Any]

MAX_SOURCE = 256 * 1024  # characters of a Python grader


class Graded(Body):
    """What all of them have."""

    name: Annotated[str, Field(max_length=256)]
    pass_threshold: float | None = None


class StringCheck(Graded):
    type: Literal["string_check"]
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarity(Graded):
    type: Literal["text_similarity"]
    input: str
    reference: str
    evaluation_metric: Literal[
        "cosine", "fuzzy_match", "bleu", "gleu", "meteor",
        "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l",
    ]  # fmt: skip


class Python(Graded):
    type: Literal["python"]
    source: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE)]
    image_tag: str | None = None


class Text(Body):
    type: Literal["input_text", "output_text", "text"]
    text: str


class Picture(Body):
    type: Literal["input_image"]
    image_url: str
    detail: str | None = None


Part = Annotated[Text | Picture, Field(discriminator="type")]


class Message(Body):
    """One message to the judging model; its texts are templates."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | Part | list[str | Part]
    type: Literal["message"] = "message"


class SamplingParams(Body):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    max_completions_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None


class ScoreModel(Graded):
    type: Literal["score_model"]
    model: str
    input: Annotated[list[Message], Field(min_length=1)]
    range: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default=[0.0, 1.0])
    sampling_params: SamplingParams | None = None

    @model_validator(mode="after")
    def _upwards(self) -> "ScoreModel":
        low, high = self.range
        if low >= high:
            raise PydanticCustomError(
                "invalid_value", "Invalid 'range': {low} is not below {high}.", {"low": low, "high": high}
            )
        return self


class LabelModel(Graded):
    type: Literal["label_model"]
    model: str
    input: Annotated[list[Message], Field(min_length=1)]
    labels: Annotated[list[str], Field(min_length=1)]
    passing_labels: list[str]

    @model_validator(mode="after")
    def _among_them(self) -> "LabelModel":
        strange = [label for label in self.passing_labels if label not in self.labels]
        if strange:
            raise PydanticCustomError(
                "invalid_value", "Invalid 'passing_labels': '{label}' is not among 'labels'.", {"label": strange[0]}
            )
        return self


Single = Annotated[
    StringCheck | TextSimilarity | Python | ScoreModel | LabelModel,
    Field(discriminator="type"),
]


def _by_name(graders: Any) -> Any:
    if isinstance(graders, dict) and isinstance(graders.get("type"), str):
        return {str(graders.get("name")): graders}
    return graders


class Multi(Body):
    type: Literal["multi"]
    name: Annotated[str, Field(max_length=256)]
    graders: Annotated[dict[str, Single], BeforeValidator(_by_name), Field(min_length=1, max_length=64)]
    calculate_output: Annotated[str, Field(min_length=1, max_length=4096)]


Grader = Annotated[
    StringCheck | TextSimilarity | Python | ScoreModel | LabelModel | Multi,
    Field(discriminator="type"),
]
AnyGrader = StringCheck | TextSimilarity | Python | ScoreModel | LabelModel | Multi


class ValidateGrader(Body):
    grader: Grader


class RunGrader(Body):
    grader: Grader
    model_sample: str
    item: Json = Field(default_factory=dict)


def singles(grader: AnyGrader) -> list[AnyGrader]:
    """The grader, or those that a multi grader is made of."""
    return list(grader.graders.values()) if isinstance(grader, Multi) else [grader]


def templates(grader: AnyGrader) -> Iterator[str]:
    """Every text of it that may hold ``{{ item.x }}``."""
    for single in singles(grader):
        match single:
            case StringCheck() | TextSimilarity():
                yield from (single.input, single.reference)
            case ScoreModel() | LabelModel():
                for message in single.input:
                    yield from texts(message)


def texts(message: Message) -> Iterator[str]:
    parts = message.content if isinstance(message.content, list) else [message.content]
    for part in parts:
        yield part if isinstance(part, str) else part.text if isinstance(part, Text) else part.image_url
