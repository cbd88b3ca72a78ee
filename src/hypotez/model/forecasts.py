"""A forecast for a prepared training file, with the speed that earlier jobs of the same model had. Pure."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hypotez.data.forecast import Forecast, forecast
from hypotez.data.prepare import Prepared

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob


def speed(earlier: Iterable["FineTuningJob"], model: str) -> float | None:
    """Tokens per second of the latest job that succeeded on this model; start-up and waiting included."""
    for job in earlier:
        if job.status == "succeeded" and job.model == model and job.trained_tokens and job.finished_at:
            return job.trained_tokens / max(1, job.finished_at - job.created_at)
    return None


def of(training: Prepared, n_epochs: int | None, tokens_per_second: float | None) -> Forecast:
    return forecast(
        training.method,
        training.n_examples,
        training.n_tokens,
        training.longest,
        n_epochs=n_epochs,
        tokens_per_second=tokens_per_second,
        warnings=tuple(map(str, training.warnings)),
    )
