"""One picture of a running server for ``hypotez top``: from the text of /metrics and the jobs to tables. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from hypotez.model.jobs import Job

_LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
ENGINE = "hypotez_engine_"


@dataclass(frozen=True, slots=True)
class Sample:
    """/metrics at one moment: a value by name and labels. ``at`` is in seconds of any clock that only grows."""

    at: float
    values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float] = field(repr=False)

    @classmethod
    def of(cls, text: str, at: float) -> "Sample":
        found = (_LINE.fullmatch(line) for line in text.splitlines() if line and not line.startswith("#"))
        return cls(at, {(m["name"], _labels(m["labels"] or "")): float(m["value"]) for m in found if m})

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """The values of ``name`` by what its ``label`` says; empty where there are none."""
        return {dict(labels)[label]: value for (n, labels), value in self.values.items() if n == name}

    def engine(self, name: str, model: str, le: float | None = None) -> float:
        """A number of one model's engine, 0 where it has none; ``le`` picks a bucket of a histogram."""
        bound = () if le is None else (("le", "+Inf" if le == float("inf") else f"{le:g}"),)
        return self.values.get((ENGINE + name, (("model", model), *bound)), 0.0)

    @property
    def models(self) -> list[str]:
        return sorted(self.labelled(ENGINE + "running", "model"))


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, _ESCAPED.sub(_unescaped, value)) for name, value in _LABEL.findall(text))


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def draw(url: str, now: Sample, before: Sample | None, jobs: Sequence["Job"]) -> "RenderableType":
    """The whole frame. Rates are those since ``before``, or of the server's whole life without one."""
    from rich.console import Group
    from rich.text import Text

    answers = now.labelled("hypotez_http_responses_total", "status")
    told = ", ".join(f"{status}: {count:.0f}" for status, count in sorted(answers.items())) or "none yet"
    parts: list[RenderableType] = [Text(f"{url}   answers by status: {told}"), Text()]
    parts.append(_engines(now, before) if now.models else Text("No local model has been loaded yet.", style="dim"))
    parts += [Text(), _jobs(jobs) if jobs else Text("No job is running.", style="dim")]
    return Group(*parts)


def _engines(now: Sample, before: Sample | None) -> "Table":
    columns = ("model", "queue", "batch", "KV in use", "cache hits", "tokens/s", "first token", "p95", "adapters")
    table = _table(*columns)
    for model in now.models:
        adapters = _adapters(now, model)
        table.add_row(
            model,
            f"{now.engine('waiting', model):.0f}",
            f"{now.engine('running', model):.0f}/{now.engine('max_batch', model):.0f}",
            _percent(now.engine("kv_blocks_used", model), now.engine("kv_blocks", model)),
            _percent(*(_since(now, before, f"{name}_tokens_total", model) for name in ("cached", "prompt"))),
            f"{_speed(now, before, model):.0f}",
            _seconds(first_token(now, before, model)),
            _seconds(first_token(now, before, model, part=0.95)),
            f"{now.engine('adapters', model):.0f}/{now.engine('adapter_slots', model):.0f}{adapters}",
        )
    return table


def _adapters(now: Sample, model: str) -> str:
    """The names of those in memory, the first few of them."""
    loaded = now.values.items()
    names = [dict(labels)["adapter"] for (n, labels), _ in loaded if n == ENGINE + "adapter_loaded" and
             dict(labels)["model"] == model]  # fmt: skip
    more = "" if len(names) <= 3 else f", and {len(names) - 3} more"
    return f": {', '.join(sorted(names)[:3])}{more}" if names else ""


def first_token(now: Sample, before: Sample | None, model: str, part: float | None = None) -> float | None:
    """Seconds to the first token: their mean, or without the slowest ones so that ``part`` is left (an upper bound)."""
    name = "first_token_seconds"
    if not _since(now, before, f"{name}_count", model):
        before = None  # none since then: those of the whole life
    count = _since(now, before, f"{name}_count", model)
    if not count:
        return None
    if part is None:
        return _since(now, before, f"{name}_sum", model) / count
    bounds = sorted(float(dict(labels)["le"]) for n, labels in now.values if n == f"{ENGINE}{name}_bucket" and
                    dict(labels)["model"] == model)  # fmt: skip
    return next(b for b in bounds if _since(now, before, f"{name}_bucket", model, b) >= part * count)


def _speed(now: Sample, before: Sample | None, model: str) -> float:
    """Tokens per second: measured between two samples, else what the server says."""
    if before is None:
        return now.engine("tokens_per_second", model)
    return _since(now, before, "output_tokens_total", model) / max(now.at - before.at, 1e-6)


def _since(now: Sample, before: Sample | None, name: str, model: str, le: float | None = None) -> float:
    return now.engine(name, model, le) - (before.engine(name, model, le) if before is not None else 0.0)


def _jobs(jobs: Sequence["Job"]) -> "Table":
    from rich.progress_bar import ProgressBar

    table = _table("job", "state", "model", "progress", "step", "loss")
    for job in jobs:
        loss = "" if job.train_loss is None else f"{job.train_loss:.3f}"
        step = f"{job.step}/{job.total_steps}" if job.total_steps else ""
        table.add_row(job.id, job.status, job.model, ProgressBar(1.0, job.progress, width=20), step, loss)
    return table


def _table(*columns: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in ("job", "model"))
    return table


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return "> 30 s" if value == float("inf") else f"{value:.2f} s"
