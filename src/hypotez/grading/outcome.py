"""What grading one reply gives, and what graders ask of the outside. Plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from hypotez.errors import HypotezError

Json = dict[str, Any]


class Fault(StrEnum):
    """Why there is no grade; the names of OpenAI's flags."""

    FORMULA = "formula_parse_error"
    SAMPLE = "sample_parse_error"
    TRUNCATED = "truncated_observation_error"
    UNRESPONSIVE = "unresponsive_reward_error"
    VARIABLE = "invalid_variable_error"
    OTHER = "other_error"
    PYTHON_SERVER = "python_grader_server_error"
    PYTHON = "python_grader_runtime_error"
    MODEL_SERVER = "model_grader_server_error"
    REFUSAL = "model_grader_refusal_error"
    MODEL = "model_grader_parse_error"


class Ungraded(HypotezError):
    """No grade for this reply; the room turns it into a ``Graded`` of 0 with its flag."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a judging model read and wrote."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Graded:
    """``reward`` is 0 where ``faults`` say why there is none. ``parts`` are a multi grader's own graders, by name."""

    name: str
    type: str
    reward: float
    faults: Mapping[Fault, str] = field(default_factory=dict)
    seconds: float = 0.0
    parts: Mapping[str, "Graded"] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)  # by the judging model's name


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judging model said."""

    text: str
    refusal: str | None
    usage: Usage


class Judge(Protocol):
    """Whoever serves models here."""

    async def ask(self, body: Json) -> Verdict:
        """The answer to a chat request. Raises the ``HypotezError`` that the model's server gave."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of unit norm per text."""
        ...
