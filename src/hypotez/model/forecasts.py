"""A forecast for a prepared training file: with the speed an earlier job of the model had, else from a measurement.

The measurement is a tenth of a second of matrix products; training reaches a part of that speed.
"""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy

from hypotez.data.forecast import Forecast, forecast
from hypotez.data.prepare import Prepared

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

_REACHED = 0.2  # of the speed of plain matrix products, by a training step
_SIDE = 512
_MEASURED_SECONDS = 0.1


def speed(earlier: Iterable["FineTuningJob"], model: str) -> float | None:
    """Tokens per second of the latest job that succeeded on this model; start-up and waiting included."""
    for job in earlier:
        if job.status == "succeeded" and job.model == model and job.trained_tokens and job.finished_at:
            return job.trained_tokens / max(1, job.finished_at - job.created_at)
    return None


def of(training: Prepared, n_epochs: int | None, tokens_per_second: float | None, told: Mapping[str, Any]) -> Forecast:
    """``told`` is what the server says about the model."""
    weights = told.get("parameters")
    measured = tokens_per_second is None and weights is not None
    return forecast(
        training.method,
        training.n_examples,
        training.n_tokens,
        training.longest,
        n_epochs=n_epochs,
        tokens_per_second=tokens_per_second,
        n_weights=weights,
        flops=_REACHED * matrix_flops() if measured else None,
        warnings=tuple(map(str, training.warnings)),
    )


def matrix_flops() -> float:
    """Operations per second of this machine's matrix products, measured now."""
    a = numpy.ones((_SIDE, _SIDE), numpy.float32)
    done, begun = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begun) < _MEASURED_SECONDS or not done:
        numpy.matmul(a, a)
        done += 1
    return 2.0 * _SIDE**3 * done / elapsed
