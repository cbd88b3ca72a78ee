"""A chat request by plain HTTP, with the ``requests`` package. Raises the SDK's errors: callers catch one kind."""

from typing import Any

import requests

_SECONDS = 600.0


def chat(base_url: str, api_key: str, body: dict[str, Any]) -> str:
    """POST the body; the reply's text. Raises the SDK's error for the status the server answered."""
    import httpx2
    import openai

    url = f"{base_url.rstrip('/')}/chat/completions"
    request = httpx2.Request("POST", url)
    try:
        answer = requests.post(url, json=body, headers={"Authorization": f"Bearer {api_key}"}, timeout=_SECONDS)
    except requests.Timeout as exc:
        raise openai.APITimeoutError(request=request) from exc
    except requests.RequestException as exc:
        raise openai.APIConnectionError(message=f"No connection to {url}: {exc}", request=request) from exc
    if answer.ok:
        message = answer.json()["choices"][0]["message"]
        return message.get("content") or message.get("refusal") or ""
    kinds: dict[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    kind = kinds.get(
        answer.status_code, openai.InternalServerError if answer.status_code >= 500 else openai.APIStatusError
    )
    response = httpx2.Response(
        answer.status_code, headers=dict(answer.headers), content=answer.content, request=request
    )
    try:
        fault = answer.json().get("error") or {}
    except (ValueError, AttributeError):
        fault = None
    said = (fault or {}).get("message") or answer.text[:500]
    raise kind(f"Error code: {answer.status_code} - {said}", response=response, body=fault)
