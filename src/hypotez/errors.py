"""Every error this package raises, in one tree.

    HypotezError                      500 server_error
    ├── InvalidRequest                400 invalid_request_error
    │   ├── DataError                 faults in training data: file, line, field (see ``faults``)
    │   ├── ImageError                not an image, too large, unreadable
    │   └── ContextLengthExceeded     code context_length_exceeded
    ├── AuthenticationFailed          401 invalid_api_key
    ├── PermissionDenied              403
    ├── NotFound                      404
    │   └── ModelNotFound             code model_not_found
    ├── Conflict                      409
    ├── RateLimited                   429 rate_limit_exceeded
    │   └── Overloaded                429, the local queue is full; carries ``retry_after``
    ├── UpstreamError                 502, an upstream answered something we cannot pass on
    ├── SettingsError                 a setting or a settings file is wrong
    ├── MissingExtra                  an optional dependency is absent; names the pip command
    ├── StorageError                  507, disk full, database or file unusable
    ├── JobFailed                     a fine-tuning job ended without a model
    └── ServerError                   the embedded server or engine could not start or broke

Status, type and code are the wire's (OpenAI's error envelope). ``server/problems.py`` turns them
into HTTP, ``cli/_print.py`` into a red line; nothing else translates. The official SDK's own errors
are not part of this tree: they pass through untouched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class HypotezError(Exception):
    """Base of the tree. ``str(error)`` is what a user reads; ``hint`` is the cure, when it is a separate sentence."""

    status: int = 500
    type: str = "server_error"
    code: str | None = None

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.hint = hint
        if code is not None:
            self.code = code

    def envelope(self) -> dict[str, Any]:
        """OpenAI's error envelope, ``{"error": {...}}``."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(HypotezError):
    """What was asked cannot be done as it was asked. ``param`` names the argument or field at fault."""

    status = 400
    type = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one place of a data set. ``line`` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    field: str | None
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {f'{self.field}: ' if self.field else ''}{self.message}"


class DataError(InvalidRequest):
    """Training data is unusable. ``faults`` holds every fault found, not only the first."""

    def __init__(self, message: str, *, faults: Sequence[Fault] = (), **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.faults = list(faults)


class ImageError(InvalidRequest):
    """No image, one that is too large, or one that cannot be read; nothing was sent."""

    code = "invalid_image_format"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and reply together have more tokens than the model's window."""

    code = "context_length_exceeded"


class AuthenticationFailed(HypotezError):
    """No key, or one that opens nothing."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class PermissionDenied(HypotezError):
    """The key is known and may not do this."""

    status = 403
    type = "invalid_request_error"


class NotFound(HypotezError):
    """No object with this id, or it is another project's."""

    status = 404
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    """No model of this name answers here: ``ModelNotFound("gpt-9")``."""

    code = "model_not_found"

    def __init__(self, model: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"The model `{model}` does not exist or you do not have access to it.", param="model", hint=hint
        )


class Conflict(HypotezError):
    """Another request changed the same object at the same time; sending it again helps."""

    status = 409
    type = "invalid_request_error"


class RateLimited(HypotezError):
    """``retry_after`` is in seconds and becomes the Retry-After header; ``headers`` go out with it."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after
        self.headers = dict(headers or {})


class Overloaded(RateLimited):
    """This machine has more requests waiting than it is allowed to queue."""


class UpstreamError(HypotezError):
    """``headers`` are the upstream's own words on when to try again, passed on to the client."""

    status = 502
    type = "upstream_error"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.headers = dict(headers or {})


class SettingsError(HypotezError):
    """A setting, or the file it stands in, is wrong; the sentence says which and where."""


class MissingExtra(HypotezError):
    """``MissingExtra("local", "the embedded server")``."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} needs an optional part. Install it: pip install 'hypotez[{extra}]'")
        self.extra = extra


class StorageError(HypotezError):
    """The disk is full, or the database or a file cannot be used. What was said before stays."""

    status = 507


class JobFailed(HypotezError):
    """``job`` is the job object as the API returned it."""

    def __init__(self, message: str, *, job: Any = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.job = job


class ServerError(HypotezError):
    """The server inside this process, or its engine, could not start or broke."""
