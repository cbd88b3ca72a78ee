"""Which route answers a path, and what a JSON route may ask for."""

from typing import Annotated

import pytest
from fastapi import Form, Header
from pydantic import BaseModel

from hypotez.server.context import Ctx
from hypotez.server.dispatch import Dispatch
from hypotez.server.reading import json_router


@pytest.fixture
def routes():
    routes: Dispatch[str] = Dispatch()
    for template in ("/threads", "/threads/{thread_id}", "/threads/{thread_id}/runs", "/threads/{t}/runs/{run_id}"):
        routes.add(["GET"], template, f"GET {template}")
    routes.add(["POST"], "/threads/runs", "POST /threads/runs")
    routes.add(["POST"], "/threads/{thread_id}", "POST /threads/{thread_id}")
    return routes


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/threads", ("GET /threads", {})),
        ("GET", "/threads/a", ("GET /threads/{thread_id}", {"thread_id": "a"})),
        ("GET", "/threads/a/runs/b", ("GET /threads/{t}/runs/{run_id}", {"t": "a", "run_id": "b"})),
        ("POST", "/threads/runs", ("POST /threads/runs", {})),
        ("GET", "/threads/runs", ("GET /threads/{thread_id}", {"thread_id": "runs"})),
        ("GET", "/threads/runs/runs", ("GET /threads/{thread_id}/runs", {"thread_id": "runs"})),
        ("POST", "/threads", None),
        ("GET", "/threads/", None),
        ("GET", "/threads//runs", None),
        ("GET", "/threads/a/", None),
        ("GET", "/threads/a/steps", None),
        ("GET", "threads", None),
        ("GET", "", None),
    ],
    ids=str,
)
def test_a_path_finds_its_route(routes, method, path, expected):
    assert routes.find(method, path) == expected


class Sent(BaseModel):
    name: str


def with_header(ctx: Ctx, name: Annotated[str, Header()]) -> None: ...


def with_form(ctx: Ctx, name: Annotated[str, Form()]) -> None: ...


def with_bare_query(ctx: Ctx, name: str) -> None: ...


def with_two_bodies(ctx: Ctx, one: Sent, other: Sent) -> None: ...


@pytest.mark.parametrize("endpoint", [with_header, with_form, with_bare_query, with_two_bodies])
def test_a_signature_that_a_json_route_cannot_read_is_refused_at_once(endpoint):
    with pytest.raises(TypeError, match="/things"):
        json_router().post("/things")(endpoint)
