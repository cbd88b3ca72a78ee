"""GET /metrics for Prometheus: how many requests ended how, jobs by state, and the engine's own numbers."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from hypotez.server.services import Services
from hypotez.worker import job_states

router = APIRouter()


@runtime_checkable
class Measured(Protocol):
    """A backend that counts what it does."""

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Numbers by model, by name."""
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
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _jobs(services: Services) -> list[str]:
    with services.store.read() as tx:
        going = set(job_states.MOVES) - job_states.ENDED
        jobs = Counter(str(job.status) for job in tx.documents.with_status(job_states.KIND, going))
    lines = ["# TYPE hypotez_fine_tuning_jobs gauge"]
    return lines + [f'hypotez_fine_tuning_jobs{{status="{state}"}} {jobs[state]}' for state in sorted(going)]


def _engine(models: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = sorted({name for numbers in models.values() for name in numbers})
    lines = []
    for name in names:
        lines.append(f"# TYPE hypotez_engine_{name} gauge")
        lines += [
            f'hypotez_engine_{name}{{model="{_escaped(model)}"}} {numbers[name]}'
            for model, numbers in sorted(models.items())
            if name in numbers
        ]
    return lines


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
