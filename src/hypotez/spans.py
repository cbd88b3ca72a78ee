"""OpenTelemetry spans of requests, model calls, runs and jobs, once ``configure`` was called; nothing at all before.

Names and attributes are those of OpenTelemetry's semantic conventions (HTTP, gen_ai) where they have one. Off, which is
the default, a call costs one comparison and the library is never imported. Knows none of the things it is told about.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hypotez.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Attributes = Mapping[str, str | int | float | bool | list[str] | None]

_tracer: Any = None
_provider: Any = None
_offset = time.time_ns() - time.perf_counter_ns()  # taken once: two spans that share a moment share it to the last bit


def configure(endpoint: str | None = None, exporter: "SpanExporter | None" = None) -> None:
    """Send spans to an OTLP collector over HTTP (``http://localhost:4318``), or to ``exporter`` as they end.

    Raises ``MissingExtra`` without OpenTelemetry's packages.
    """
    global _tracer, _provider
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError as exc:
        raise MissingExtra("telemetry", f"Sending spans ({exc.name} is not installed)") from exc
    provider = TracerProvider(resource=Resource.create({"service.name": "hypotez"}))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    if endpoint is not None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as exc:
            raise MissingExtra("telemetry", f"Sending spans ({exc.name} is not installed)") from exc
        sent = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(sent))
    _provider, _tracer = provider, provider.get_tracer("hypotez")


def close() -> None:
    """Send what is left and switch off. Safe to call twice, and without ``configure``."""
    global _tracer, _provider
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


def on() -> bool:
    return _tracer is not None


class Span:
    """What goes on inside ``with``; spans begun there are its children. Does nothing while spans are off."""

    def __init__(self, entered: "AbstractContextManager[Any] | None") -> None:
        self._entered = entered
        self._span: Any = None

    def __enter__(self) -> Self:
        self._span = None if self._entered is None else self._entered.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered is not None:
            self._entered.__exit__(kind, error, trace)

    def set(self, **attributes: str | int | float | bool | None) -> None:
        """Attributes known only now; a name's ``__`` stands for a dot, and None is left out."""
        if self._span is not None:
            self._span.set_attributes(_kept({k.replace("__", "."): v for k, v in attributes.items()}))

    def rename(self, name: str) -> None:
        if self._span is not None:
            self._span.update_name(name)


_NOTHING = Span(None)


def span(name: str, attributes: Attributes | None = None, *, server: bool = False) -> Span:
    """A span around a ``with`` block; ``server`` where it answers somebody outside."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.trace import SpanKind

    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    return Span(_tracer.start_as_current_span(name, kind=kind, attributes=_kept(attributes or {})))


def here() -> Any:
    """The place where spans would become children now; None while spans are off."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


def past(name: str, parent: Any, begun: float, ended: float, attributes: Attributes, *, client: bool = False) -> Any:
    """A span of something that is over, moments as of ``time.perf_counter``; returns the place inside it.

    For what no ``with`` block surrounds: it began in one thread and ended in another, or was told piece by piece.
    """
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind, set_span_in_context

    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    start = int(begun * 1e9) + _offset
    made = _tracer.start_span(name, context=parent, kind=kind, attributes=_kept(attributes), start_time=start)
    made.end(int(ended * 1e9) + _offset)
    return set_span_in_context(made, parent)


def _kept(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
