"""GET /health: is it up, and which version answers."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from hypotez import __version__
from hypotez.server.answers import answer

router = APIRouter()


@router.get("/health")
async def health(request: Request) -> Response:
    """200 as soon as requests are served. No key: probes have none."""
    return answer({"status": "ok", "version": __version__})
