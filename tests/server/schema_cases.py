"""Requests made up by schemathesis from OpenAI's specification, right and wrong ones, against a whole server.

    python -m tests.server.schema_cases --cases 5000

For every operation of ours that the specification has: half of the requests are right by it, half are not; ids are
made up, or those of objects that are there. No answer may be a 5xx, none may take long, an error is OpenAI's envelope,
and whatever succeeds satisfies the specification's schema. Prints what was sent, by status, and every fault.
"""

import argparse
import contextlib
import json
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from tests.server.routes import ROUTES
from tests.server.whole import Whole, whole_server
from tests.spec import conforms, document

SLOW_SECONDS = 10.0
NAMES = {"fine_tuning_job_id": "job_id", "fine_tuned_model_checkpoint": "checkpoint", "training_file": "file_id",
         "validation_file": "file_id", "file_id": "file_id", "assistant_id": "assistant_id"}  # fmt: skip


@dataclass
class Tally:
    """What came of the requests."""

    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # operation, mode, status
    faults: dict[tuple[str, str], str] = field(default_factory=dict)  # operation and kind: the first example

    @property
    def sent(self) -> int:
        return sum(self.statuses.values())


def operations() -> Iterator[Any]:
    """Schemathesis' operations that the server has too."""
    ours = {(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in ROUTES}
    whole = document()
    paths = {
        path: {method: operation for method, operation in methods.items() if _served(ours, method, path)}
        for path, methods in whole["paths"].items()
    }
    loaded = schemathesis.openapi.from_dict({**whole, "paths": {path: kept for path, kept in paths.items() if kept}})
    for found in loaded.get_all_operations():
        yield found.ok()


def _served(ours: set[tuple[str, str]], method: str, path: str) -> bool:
    return (method.upper(), re.sub(r"{\w+}", "{}", path)) in ours


def attack(whole: Whole, operation: Any, mode: GenerationMode, cases: int, tally: Tally) -> None:
    """Send ``cases`` requests for the operation; faults go into ``tally``."""
    name = f"{operation.method.upper()} {operation.path}"
    session = requests.Session()

    @seed(0)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def attempt(case: Any, existing: bool) -> None:
        # a deleted object is no use to the cases after it
        if existing and operation.method != "delete":
            case.path_parameters = {key: whole.ids[NAMES.get(key, key)] for key in case.path_parameters or {}}
            case.body = _with_ids(case.body, whole.ids)
        begun = time.monotonic()
        response = case.call(base_url=whole.base_url, session=session, timeout=60, allow_redirects=False)
        took = time.monotonic() - begun
        tally.statuses[name, mode.value, response.status_code] += 1
        for kind in _faults(operation, response, took):
            tally.faults.setdefault((name, kind), f"{case.as_curl_command()[:1500]}\n    -> {response.text[:600]}")

    attempt()


def _with_ids(body: Any, ids: dict[str, str]) -> Any:
    if isinstance(body, list):
        return [_with_ids(item, ids) for item in body]
    if not isinstance(body, dict):
        return body
    known = {**{name: ids[key] for name, key in NAMES.items()}, "model": "scripted"}
    return {key: known[key] if key in known else _with_ids(value, ids) for key, value in body.items()}


def _faults(operation: Any, response: Any, took: float) -> Iterator[str]:
    status, content = response.status_code, response.headers.get("content-type", [""])[0]
    if status >= 500:
        yield f"status {status}"
    if took > SLOW_SECONDS:
        yield f"slow: {took:.0f} s"
    if 300 <= status < 400:
        yield f"status {status}"
    if status >= 400:
        if not _is_envelope(response.text, content):
            yield "no envelope"
        return
    schema = _schema(operation, content)
    if schema:
        body = json.loads(response.text)
        if _beyond(body):
            return
        empty = isinstance(body, dict) and body.get("object") == "list" and not body["data"]
        try:
            # an empty page has no first and no last id; OpenAI's own answers have null there too
            conforms(schema, {**body, "first_id": "", "last_id": ""} if empty else body)
        except AssertionError as error:
            yield f"answer: {str(error)[:200]}"
    elif not content.startswith(("text/event-stream", "application/octet-stream", "application/json")):
        yield f"content type {content}"


def _beyond(body: Any) -> bool:
    """What OpenAI's specification takes in a request and has not got in its answer: evals files, base64 vectors."""
    if not isinstance(body, dict):
        return False
    rows = body.get("data") if isinstance(body.get("data"), list) else []
    return body.get("purpose") == "evals" or any(isinstance(row.get("embedding"), str) for row in rows)


def _is_envelope(text: str, content: str) -> bool:
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return False
    right = set(error) == {"message", "type", "param", "code"} and error["message"] and error["type"]
    return bool(right) and content.startswith("application/json")


def _schema(operation: Any, content: str) -> str:
    """Name of the schema of the operation's answer; empty for streams and for what has none."""
    if not content.startswith("application/json"):
        return ""
    raw = document()["paths"][operation.path][operation.method]
    answer = raw.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
    return str(answer.get("schema", {}).get("$ref", "")).rpartition("/")[2]


def run(whole: Whole, found: Sequence[Any], cases: int, told: Callable[[str], None] = lambda line: None) -> Tally:
    """About ``cases`` requests in all, evenly over operations and both modes. ``told`` gets a line per operation."""
    tally = Tally()
    each = max(1, cases // (2 * len(found)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for operation in found:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _one(whole, operation, mode, each, tally)
            told(
                f"{operation.method.upper()} {operation.path}: {tally.sent} requests, {len(tally.faults)} faults so far"
            )
    return tally


def _one(whole: Whole, operation: Any, mode: GenerationMode, cases: int, tally: Tally) -> None:
    with contextlib.suppress(Unsatisfiable):  # nothing wrong can be said where there are no parameters
        attack(whole, operation, mode, cases, tally)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    with tempfile.TemporaryDirectory() as home, whole_server(Path(home)) as whole:
        begun = time.monotonic()
        tally = run(whole, list(operations()), parser.parse_args().cases, lambda line: print(line, flush=True))
    by_status = Counter()
    for (_, mode, status), count in tally.statuses.items():
        by_status[mode, status] += count
    names = {name for name, _, _ in tally.statuses}
    print(f"{tally.sent} requests for {len(names)} operations in {time.monotonic() - begun:.0f} s")
    for (mode, status), count in sorted(by_status.items()):
        print(f"  {mode} {status}: {count}")
    print(f"{len(tally.faults)} faults")
    for (name, kind), example in sorted(tally.faults.items()):
        print(f"- {name}: {kind}\n    {example}")
    raise SystemExit(bool(tally.faults))


if __name__ == "__main__":
    main()
