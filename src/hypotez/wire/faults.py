"""Validation faults in OpenAI's words. Pure: pydantic's list of errors in, one ``InvalidRequest`` out.

OpenAI reports one fault at a time; so do we, the deepest one: in a union the branch that came farthest is the one
that the client meant.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypotez.errors import InvalidRequest

BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
)

Details = Mapping[str, Any]

EXPECTED = {
    "bool": "a boolean",
    "dict": "an object",
    "float": "a decimal",
    "int": "an integer",
    "list": "an array",
    "model": "an object",
    "model_attributes": "an object",
    "dataclass": "an object",
    "string": "a string",
    "string_sub": "a string",
    "none_required": "null",
}


def fault(errors: Sequence[Details]) -> InvalidRequest:
    """The request's fault in OpenAI's words, with ``param`` and ``code``."""
    told = [error for error in errors if error["type"] not in ("missing", "extra_forbidden")] or list(errors)
    # of equally deep ones a broken bound says more than the union's other branches that were never meant, and more than
    # the words that may stand in a number's place
    error = max(
        told, key=lambda error: (len(_param(error["loc"])), _expected(error) is None, error["type"] != "literal_error")
    )
    kind, param = str(error["type"]), _param(error["loc"])
    if kind == "refused":  # a rule between fields, told by a request model in its final words
        context = error["ctx"]
        code = "missing_required_parameter" if context["message"].startswith("Missing") else "invalid_value"
        return InvalidRequest(context["message"], param=context["param"], code=code)
    if kind == "json_invalid" or not param:
        return InvalidRequest(BAD_JSON if kind == "json_invalid" else _whole(error))
    for suffix, text in TEXTS.items():
        if kind == suffix:
            code, message = text(param, error)
            return InvalidRequest(message, param=param, code=code)
    expected = list(dict.fromkeys(_expected(one) for one in told if _param(one["loc"]) == param))
    if _expected(error) is not None:
        wanted = " or ".join(name for name in expected if name is not None)
        some = "one of " if " or " in wanted else ""
        return InvalidRequest(
            f"Invalid type for '{param}': expected {some}{wanted}, but got {_named(error['input'])} instead.",
            param=param,
            code="invalid_type",
        )
    message = str(error["msg"])
    return InvalidRequest(
        message if message.startswith("Invalid") else f"Invalid value for '{param}': {message}.",
        param=param,
        code=kind if message.startswith("Invalid") else "invalid_value",
    )


def _expected(error: Details) -> str | None:
    """The type that was wanted, when that is what the error is about."""
    kind = str(error["type"])
    for suffix in ("_type", "_parsing", "_from_float", "_required"):
        kind = kind.removesuffix(suffix)
    return EXPECTED.get(kind)


def _param(loc: Sequence[int | str]) -> str:
    """``("body", "messages", 0, "role")`` as ``messages[0].role``; names of union branches are left out."""
    text = ""
    for part in loc[1:]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in _BRANCHES and not part.startswith(_GENERIC) and not part[:1].isupper():
            text += f".{part}" if text else part
    return text


# pydantic names the branch of a union in the path; the client never wrote it
_BRANCHES = {"str", "int", "float", "bool", "dict", "list", "constrained-str", "constrained-int", "constrained-float",
             "string_check", "text_similarity", "python", "score_model", "label_model", "multi"}  # fmt: skip
_GENERIC = ("list[", "dict[", "literal[", "function-", "nullable[", "lax-or-strict[", "json-or-python[")


def _whole(error: Details) -> str:
    if error["type"] == "missing":
        return "Missing request body: send a JSON object with Content-Type: application/json."
    return f"Invalid request body: expected an object, but got {_named(error['input'])} instead."


def _named(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str() | bytes():
            return "a string"
        case list() | tuple():
            return "an array" if value else "an empty array"
        case _:
            return "an object"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str) if not isinstance(value, str) else value
    return text if len(text) <= 100 else text[:97] + "..."


def _kind(value: Any) -> str:
    return "integer" if isinstance(value, int) else "decimal"


def _bound(word: str, sign: str, field: str) -> Callable[[str, Details], tuple[str, str]]:
    where = {"above_max": "above maximum", "below_min": "below minimum"}[word]

    def text(param: str, error: Details) -> tuple[str, str]:
        got, limit = error["input"], error["ctx"][field]
        return f"{_kind(got)}_{word}_value", (
            f"Invalid '{param}': {_kind(got)} {where} value. "
            f"Expected a value {sign} {limit:g}, but got {_shown(got)} instead."
        )

    return text


def _length(what: str, word: str, field: str, ending: str) -> Callable[[str, Details], tuple[str, str]]:
    article = "an" if what == "array" else "a"

    def text(param: str, error: Details) -> tuple[str, str]:
        limit, got = error["ctx"][field], error["ctx"].get("actual_length", len(error["input"] or ""))
        if what == "array" and got == 0:
            return "empty_array", (
                f"Invalid '{param}': empty array. Expected an array with minimum length {limit}, "
                "but got an empty array instead."
            )
        if what == "string" and got == 0:
            return "empty_string", (
                f"Invalid '{param}': empty string. Expected a string with minimum length {limit}, "
                "but got an empty string instead."
            )
        extreme = "maximum" if word == "above_max" else "minimum"
        return f"{what}_{word}_length", (
            f"Invalid '{param}': {what} too {ending}. Expected {article} {what} with {extreme} length {limit}, "
            f"but got {article} {what} with length {got} instead."
        )

    return text


def _choice(param: str, error: Details) -> tuple[str, str]:
    context = error.get("ctx", {})
    expected = context.get("expected") or context.get("expected_tags") or ""
    choices = str(expected).replace(" or ", ", ")
    return "invalid_value", f"Invalid value for '{param}': '{_shown(error['input'])}'. Supported values are: {choices}."


def _tag_missing(param: str, error: Details) -> tuple[str, str]:
    name = f"{param}.{str(error['ctx']['discriminator']).strip(chr(39))}"
    return "missing_required_parameter", f"Missing required parameter: '{name}'."


def _tag_unknown(param: str, error: Details) -> tuple[str, str]:
    context = error["ctx"]
    name = f"{param}.{str(context['discriminator']).strip(chr(39))}"
    return "invalid_value", (
        f"Invalid value: '{_shown(context['tag'])}' for '{name}'. Supported values are: {context['expected_tags']}."
    )


TEXTS: dict[str, Callable[[str, Details], tuple[str, str]]] = {
    "missing": lambda param, error: ("missing_required_parameter", f"Missing required parameter: '{param}'."),
    "extra_forbidden": lambda param, error: ("unknown_parameter", f"Unknown parameter: '{param}'."),
    "less_than_equal": _bound("above_max", "<=", "le"),
    "less_than": _bound("above_max", "<", "lt"),
    "greater_than_equal": _bound("below_min", ">=", "ge"),
    "greater_than": _bound("below_min", ">", "gt"),
    "string_too_long": _length("string", "above_max", "max_length", "long"),
    "string_too_short": _length("string", "below_min", "min_length", "short"),
    "too_long": _length("array", "above_max", "max_length", "long"),
    "too_short": _length("array", "below_min", "min_length", "short"),
    "literal_error": _choice,
    "enum": _choice,
    "string_pattern_mismatch": lambda param, error: (
        "invalid_value",
        f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
        f"'{error['ctx']['pattern']}'.",
    ),
    "union_tag_not_found": _tag_missing,
    "union_tag_invalid": _tag_unknown,
}
