"""A forecast for a prepared training file: with the speed an earlier job of the model had, else from a measurement.

The measurement is a tenth of a second of matrix products; training reaches a part of that speed.
"""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy

from hypotez.data.check import Method
from hypotez.data.forecast import START_SECONDS, Forecast, forecast
from hypotez.data.prepare import Prepared

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

# What a training step reaches of the speed of plain float32 products: measured 0.3 with 9 million weights in float32,
# 2.0 with 135 million in bfloat16 where the processor multiplies it; taken lower, for processors that do not.
_REACHED, _REACHED_LARGE, _LARGE = 0.3, 1.0, 30_000_000
_SIDE = 512
_MEASURED_SECONDS = 0.1


def speed(earlier: Iterable["FineTuningJob"], model: str) -> float | None:
    """Tokens per second of the latest job that succeeded on this model, its waiting included."""
    for job in earlier:
        if job.status == "succeeded" and job.model == model and job.trained_tokens and job.finished_at:
            return job.trained_tokens / max(1.0, job.finished_at - job.created_at - START_SECONDS)
    return None


def of(training: Prepared, n_epochs: int | None, tokens_per_second: float | None, told: Mapping[str, Any]) -> Forecast:
    """``told`` is what the server says about the model."""
    weights = told.get("parameters")
    flops = None
    if training.method is Method.REINFORCEMENT:
        tokens_per_second = None  # most of its time goes into drawing replies, and nobody knows how long they will be
    elif tokens_per_second is None and weights is not None:
        flops = (_REACHED if weights < _LARGE else _REACHED_LARGE) * matrix_flops()
    return forecast(
        training.method,
        training.n_examples,
        training.n_tokens,
        training.longest,
        n_epochs=n_epochs,
        tokens_per_second=tokens_per_second,
        n_weights=weights,
        flops=flops,
        warnings=tuple(map(str, training.warnings)),
    )


def matrix_flops() -> float:
    """Operations per second of this machine's fastest matrix product in a tenth of a second, others' work left out."""
    a = numpy.ones((_SIDE, _SIDE), numpy.float32)
    fastest, begun = float("inf"), time.perf_counter()
    while (at := time.perf_counter()) - begun < _MEASURED_SECONDS:
        numpy.matmul(a, a)
        fastest = min(fastest, time.perf_counter() - at)
    return 2.0 * _SIDE**3 / fastest
