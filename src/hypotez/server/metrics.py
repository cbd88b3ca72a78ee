"""GET /metrics for Prometheus: how many requests ended how, jobs by state, and the engine's own numbers."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from hypotez.server.auth import Caller
from hypotez.server.services import Services
from hypotez.worker import job_states

router = APIRouter()


class Histogram(Protocol):
    """How many values were at most each bound."""

    @property
    def buckets(self) -> Mapping[float, int]: ...
    @property
    def count(self) -> int: ...
    @property
    def sum(self) -> float: ...


Numbers = Mapping[str, "float | Histogram"]


@runtime_checkable
class Measured(Protocol):
    """A backend that counts what it does."""

    def metrics(self) -> Mapping[str, Numbers]:
        """Numbers by model, by name; those that only grow end in ``_total``."""
        ...

    def adapters(self) -> Mapping[str, Sequence[str]]:
        """Names of the tuned models in memory, by base."""
        ...


class Requests:
    """Responses by status. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()

    def count(self, status: int) -> None:
        with self._lock:
            self._counts[status] += 1

    def lines(self) -> list[str]:
        with self._lock:
            counted = sorted(self._counts.items())
        head = "# TYPE hypotez_http_responses_total counter"
        return [head, *(f'hypotez_http_responses_total{{status="{status}"}} {n}' for status, n in counted)]


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Text of Prometheus' exposition format. Asks for a key where the API does."""
    services: Services = request.app.state.services
    lines = [*request.app.state.requests.lines(), *await run_in_threadpool(_jobs, services)]
    local: object = services.router.local
    if isinstance(local, Measured):
        lines += _engine(local.metrics())
        lines += await run_in_threadpool(_adapters, local.adapters(), services, request.scope["hypotez.caller"])
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _jobs(services: Services) -> list[str]:
    with services.store.read() as tx:
        going = set(job_states.MOVES) - job_states.ENDED
        jobs = Counter(str(job.status) for job in tx.documents.with_status(job_states.KIND, going))
    lines = ["# TYPE hypotez_fine_tuning_jobs gauge"]
    return lines + [f'hypotez_fine_tuning_jobs{{status="{state}"}} {jobs[state]}' for state in sorted(going)]


def _engine(models: Mapping[str, Numbers]) -> list[str]:
    lines = []
    for name in sorted({name for numbers in models.values() for name in numbers}):
        found = [(_escaped(model), numbers[name]) for model, numbers in sorted(models.items()) if name in numbers]
        kind = (
            "counter" if name.endswith("_total") else "gauge" if isinstance(found[0][1], int | float) else "histogram"
        )
        lines.append(f"# TYPE hypotez_engine_{name} {kind}")
        for model, value in found:
            lines += _sample(f"hypotez_engine_{name}", f'model="{model}"', value)
    return lines


def _sample(name: str, label: str, value: float | Histogram) -> list[str]:
    if isinstance(value, int | float):
        return [f"{name}{{{label}}} {value}"]
    bounds = ((f"{bound:g}" if bound < float("inf") else "+Inf", count) for bound, count in value.buckets.items())
    lines = [f'{name}_bucket{{{label},le="{bound}"}} {count}' for bound, count in bounds]
    return [*lines, f"{name}_sum{{{label}}} {value.sum}", f"{name}_count{{{label}}} {value.count}"]


def _adapters(loaded: Mapping[str, Sequence[str]], services: Services, caller: Caller) -> list[str]:
    """Which tuned models are in memory; of another project's, only an administrator reads the names."""
    lines = ["# TYPE hypotez_engine_adapter_loaded gauge"]
    for base, names in sorted(loaded.items()):
        shown = [name for name in sorted(names) if caller.admin or services.router.tuned(name, caller.project)]
        label = f'model="{_escaped(base)}"'
        lines += [f'hypotez_engine_adapter_loaded{{{label},adapter="{_escaped(name)}"}} 1' for name in shown]
    return lines


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
