"""A fine-tuning job as a user follows it: state, step, loss, events. Built from the SDK's objects; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypotez.data.check import Method
from hypotez.errors import InvalidRequest, JobFailed

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """``events`` are the messages, oldest first; ``raw`` is the API's own object."""

    id: str
    status: str
    model: str
    fine_tuned_model: str | None
    step: int | None
    total_steps: int | None
    train_loss: float | None
    valid_loss: float | None
    trained_tokens: int | None
    error: str | None
    events: list[str] = field(repr=False)
    raw: Any = field(repr=False)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def progress(self) -> float:
        """Between 0 and 1."""
        if self.status == "succeeded":
            return 1.0
        return (self.step or 0) / self.total_steps if self.total_steps else 0.0


def job(raw: "FineTuningJob", events: Sequence["FineTuningJobEvent"]) -> Job:
    """``events`` newest first, as the API lists them."""
    latest: dict[str, Any] = next(metrics(events), {})
    valid = (m.get("full_valid_loss", m.get("valid_loss")) for m in metrics(events))
    return Job(
        id=raw.id,
        status=raw.status,
        model=raw.model,
        fine_tuned_model=raw.fine_tuned_model,
        step=latest.get("step"),
        total_steps=latest.get("total_steps"),
        train_loss=latest.get("train_loss"),
        valid_loss=next((loss for loss in valid if loss is not None), None),
        trained_tokens=raw.trained_tokens,
        error=raw.error.message if raw.error and raw.error.message else None,
        events=[event.message for event in reversed(events)],
        raw=raw,
    )


def metrics(events: Sequence["FineTuningJobEvent"]) -> Iterator[dict[str, Any]]:
    """The numbers of the metric events, in the order given."""
    return (event.data for event in events if event.type == "metrics" and isinstance(event.data, dict))


def succeeded(found: Job) -> Job:
    """The job, if it brought a model. Raises ``JobFailed`` with the reason otherwise."""
    if found.status == "succeeded":
        return found
    reason = found.error or (found.events[-1] if found.events else "no reason was given")
    raise JobFailed(f"Fine-tuning job {found.id} ended as {found.status}: {reason}", job=found.raw)


def method_body(method: str, grader: Mapping[str, Any] | None, **hyperparameters: Any) -> dict[str, Any]:
    """The ``method`` field of a new job, with only what was set; ``"auto"`` and ``None`` leave it to the server."""
    given = {key: value for key, value in hyperparameters.items() if value not in (None, "auto")}
    parts = {"grader": dict(grader) if grader is not None else None, "hyperparameters": given}
    return {"type": method, method: {name: part for name, part in parts.items() if part}}


def method(name: str | None, known: Sequence[Method] = (Method.SUPERVISED, Method.DPO, Method.KTO)) -> Method | None:
    """The method called so; ``None`` leaves it to the data. Raises ``InvalidRequest``."""
    if name is not None and name not in known:
        raise InvalidRequest(f"method is one of {', '.join(known)}, not {name!r}.", param="method")
    return None if name is None else Method(name)


def graded_method(name: str | None, grader: object, positive: bool) -> Method | None:
    """The method that is named, or that a grader means. Raises ``InvalidRequest`` where they do not fit together."""
    named = method(name, list(Method))
    if grader is None:
        if named is Method.REINFORCEMENT:
            raise InvalidRequest("method='reinforcement' needs a grader: grader={...}.", param="grader")
        return named
    if not isinstance(grader, Mapping):
        what = f"grader must be a dictionary such as {{'type': 'string_check', ...}}, not {type(grader).__name__}."
        raise InvalidRequest(what, param="grader")
    if named not in (None, Method.REINFORCEMENT):
        raise InvalidRequest(f"A grader is for method='reinforcement', not '{named}'.", param="grader")
    if not positive:
        raise InvalidRequest("positive=False has no place beside a grader, which says what is bad.", param="positive")
    return Method.REINFORCEMENT
