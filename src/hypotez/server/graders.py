"""/v1/fine_tuning/alpha/graders: validate a grader, and run one on a reply."""

import asyncio
from typing import Any

from openai.types.fine_tuning.alpha import GraderRunResponse
from starlette.responses import Response

from hypotez.grading.check import check
from hypotez.grading.grade import Means
from hypotez.grading.outcome import Fault, Graded, Usage
from hypotez.grading.sandbox import Limits, Sandbox
from hypotez.grading.template import sample_of
from hypotez.server.answers import answer
from hypotez.server.context import Context, Ctx
from hypotez.server.disconnect import while_connected
from hypotez.server.reading import json_router
from hypotez.wire.door import shape
from hypotez.wire.graders import AnyGrader, RunGrader, ValidateGrader
from hypotez.worker.judge import RoutedJudge

Json = dict[str, Any]

router = json_router()


@router.post("/fine_tuning/alpha/graders/validate")
async def validate(body: ValidateGrader, ctx: Ctx) -> Response:
    """The grader as it was sent, or a 400 that says what is wrong with it."""
    async with ctx.services.graders_at_once:
        await asyncio.to_thread(check_grader, body.grader, ctx.services.python_graders)
    return answer({"grader": (await ctx.request.json())["grader"]})


@router.post("/fine_tuning/alpha/graders/run")
async def run(body: RunGrader, ctx: Ctx) -> Response:
    """The reward of one reply. What goes wrong in grading is told in ``metadata.errors``, with a reward of 0."""
    return await while_connected(ctx.request, _run(body, ctx))


async def _run(body: RunGrader, ctx: Context) -> Response:
    check(body.grader, lambda source: None)  # a source that does not run is an error in the answer
    sandbox = Sandbox(ctx.services.python_graders)
    means = Means(sandbox, RoutedJudge(ctx.services.router, ctx.project))
    async with ctx.services.graders_at_once:
        try:
            graded = await means.grade(body.grader, sample_of(body.model_sample), body.item)
        finally:
            sandbox.close()  # ends a grader that still runs, whoever waited for it
    return answer(_shown(graded))


def check_grader(grader: AnyGrader, limits: Limits) -> None:
    """Raises ``InvalidRequest`` for what could never grade. Runs the first lines of Python graders: not on the loop."""
    sandbox = Sandbox(limits)
    try:
        check(grader, sandbox.check)
    finally:
        sandbox.close()


def _shown(graded: Graded) -> Json:
    scores = {name: part.reward for name, part in graded.parts.items()} or {graded.name: graded.reward}
    spent = [usage.prompt + usage.completion for usage in graded.usage.values()]
    metadata = {
        "name": graded.name,
        "type": graded.type,
        "errors": errors(graded),
        "execution_time": graded.seconds,
        "scores": scores,
        "token_usage": sum(spent) if spent else None,
        "sampled_model_name": next(iter(graded.usage), None),
    }
    return shape(
        GraderRunResponse,
        reward=graded.reward,
        metadata=metadata,
        sub_rewards={name: part.reward for name, part in graded.parts.items()},
        model_grader_token_usage_per_model={name: _tokens(usage) for name, usage in graded.usage.items()},
    )


def errors(graded: Graded) -> Json:
    """OpenAI's flags; ``details`` are ours, for the faults that have no place of their own."""
    faults = graded.faults
    flags: Json = {fault.value: fault in faults for fault in Fault}
    named = {
        "python_grader_runtime_error_details": faults.get(Fault.PYTHON),
        "python_grader_server_error_type": faults.get(Fault.PYTHON_SERVER),
        "model_grader_server_error_details": faults.get(Fault.MODEL_SERVER),
    }
    other = [text for fault, text in faults.items() if text not in named.values()]
    return {**flags, **named, **({"details": " ".join(other)} if other else {})}


def _tokens(usage: Usage) -> Json:
    total = usage.prompt + usage.completion
    return {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": total}
