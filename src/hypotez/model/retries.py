"""Which failures of a request are worth another try, and after how long. Pure: an error in, seconds out.

Connection failures, 408, 409, 429 and 5xx are; a wrong request stays wrong and an empty purse stays empty.
The server's own wish (``x-should-retry``, ``retry-after-ms``, ``Retry-After``) comes before our back-off.
"""

import random
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import APIError

_FIRST, _LONGEST = 0.5, 8.0  # seconds of back-off
_PATIENCE = 120.0  # a server that asks for more than this gets its error passed on instead
_WORTH_IT = frozenset({408, 409, 429})


def delay(error: "APIError", attempt: int, attempts: int) -> float | None:
    """Seconds to wait before attempt number ``attempt + 1``; ``None`` when the error is final."""
    from openai import APIConnectionError, APIStatusError

    if attempt >= attempts:
        return None
    if isinstance(error, APIConnectionError):
        return _back_off(attempt)
    if not isinstance(error, APIStatusError) or not _is_passing(error):
        return None
    asked = _asked(error.response.headers)
    if asked is None:
        return _back_off(attempt)
    return asked if asked <= _PATIENCE else None


def _is_passing(error: "APIError") -> bool:
    from openai import APIStatusError

    assert isinstance(error, APIStatusError)
    if error.code == "insufficient_quota" or error.type == "insufficient_quota":
        return False
    wish = error.response.headers.get("x-should-retry")
    if wish in ("true", "false"):
        return bool(wish == "true")
    return error.status_code in _WORTH_IT or error.status_code >= 500


def _asked(headers: "Mapping[str, str]") -> float | None:
    """Seconds the server asks to wait, from either header."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (TypeError, ValueError):
        return None


def _back_off(attempt: int) -> float:
    """Doubling from half a second to eight, less up to a quarter, so that clients do not return in step."""
    return min(_LONGEST, _FIRST * 2.0 ** (attempt - 1)) * (1 - 0.25 * random.random())
