"""What a request's spans say: the model call with OpenTelemetry's gen_ai attributes, and where its time went."""

import time
from typing import Any

from hypotez import spans
from hypotez.backend import Json
from hypotez.engine.runner import Job

_ASKED = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")


def trace(body: Json, job: Job, parent: Any) -> None:
    """Spans of a request that is over, finished or left: the call, and in it the wait, the prefill and the decoding."""
    now, first = time.perf_counter(), job.sequences[0]
    model, reasons = body["model"], [s.finish.value for s in job.sequences if s.finish is not None]
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "hypotez",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.request.max_tokens": first.sampling.max_tokens,
        "gen_ai.request.choice.count": len(job.sequences) if len(job.sequences) > 1 else None,
        "gen_ai.usage.input_tokens": first.prompt_length,
        "gen_ai.usage.cache_read.input_tokens": first.cached,
        "gen_ai.usage.output_tokens": sum(len(s.output) for s in job.sequences),
        "gen_ai.response.finish_reasons": reasons or None,
        **{f"gen_ai.request.{name}": body.get(name) for name in _ASKED},
    }
    call = spans.past(f"chat {model}", parent, job.arrived, now, attributes)
    begun, said = first.admitted_at or now, job.first_said or now
    spans.past("queue", call, job.arrived, begun, {})
    if first.admitted_at is not None:
        spans.past("prefill", call, begun, said, {"gen_ai.usage.input_tokens": first.prompt_length})
    if job.first_said is not None:
        spans.past("decode", call, said, now, {"gen_ai.usage.output_tokens": attributes["gen_ai.usage.output_tokens"]})
