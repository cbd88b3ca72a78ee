"""A chat request as the wire writes it, read into what the engine needs. Raises OpenAI's errors in OpenAI's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypotez.engine.guide import Grammars, Guide, format_grammar
from hypotez.engine.sequence import Sampling
from hypotez.errors import ContextLengthExceeded, InvalidRequest
from hypotez.text import Chat
from hypotez.text.messages import text_of

Json = Mapping[str, Any]

COOLEST = 1e-4  # a temperature below it is zero: in float32 the division would leave no probabilities

# name, lowest, highest, default
_NUMBERS = [
    ("temperature", 0.0, 2.0, 1.0),
    ("top_p", 0.0, 1.0, 1.0),
    ("min_p", 0.0, 1.0, 0.0),
    ("presence_penalty", -2.0, 2.0, 0.0),
    ("frequency_penalty", -2.0, 2.0, 0.0),
]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request: a prompt, one ``Sampling`` per choice, and how its text is to be read."""

    prompt: list[int]
    choices: list[Sampling]
    stops: list[str]
    tools: list[str]  # names of the functions that may be called; empty when none may
    called: str  # the finish_reason of a reply that called one
    grammar: str | None
    grammar_param: str

    def guide(self, grammars: Grammars) -> Guide | None:
        return None if self.grammar is None else grammars.guide(self.grammar, self.grammar_param)


def read(body: Json, chat: Chat, grammars: Grammars, context: int) -> ChatRequest:
    """``context`` is the most tokens that prompt and reply may have together."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("Missing required parameter: 'messages'.", param="messages")
    _refuse_images(messages)
    tools, forced = _tools(body)
    _refuse_endless(messages, chat, context)
    options = body.get("chat_template_kwargs")
    if not isinstance(options, Mapping | None):
        text = "Invalid type for 'chat_template_kwargs': expected an object."
        raise InvalidRequest(text, param="chat_template_kwargs")
    prompt = chat.encode(messages, tools or None, options=options)
    limit = _limit(body, len(prompt), context)
    sampling = _sampling(body, limit)
    count = _integer(body, "n", 1, 128, 1)
    grammar, param = _grammar(body, grammars, forced)
    return ChatRequest(
        prompt=prompt,
        choices=[_choice(sampling, i) for i in range(count)],
        stops=_stops(body),
        tools=[tool["function"]["name"] for tool in tools],
        # OpenAI's: who named the function knows that it is called
        called="stop" if _names_function(body) else "tool_calls",
        grammar=grammar,
        grammar_param=param,
    )


def _choice(sampling: Sampling, index: int) -> Sampling:
    """Choices of one seed must differ from one another, and the first be the same whatever ``n`` is."""
    return (
        sampling if sampling.seed is None or index == 0 else replace(sampling, seed=sampling.seed + index * 0x9E3779B1)
    )


def _refuse_images(messages: Sequence[Json]) -> None:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") in ("image_url", "image_file", "input_image"):
                raise InvalidRequest(
                    "This model reads text only and cannot see images. Connect one that can: set OPENAI_API_KEY, or "
                    "add an [[upstream]] with a vision model (Ollama, vLLM, llama-server) to hypotez.toml.",
                    param="messages",
                )


def _refuse_endless(messages: Sequence[Json], chat: Chat, context: int) -> None:
    """What is too long whatever its tokens are: to count them in megabytes of text would take seconds."""
    characters = sum(len(text_of(message)) for message in messages)
    if characters > context * chat.token_bytes.longest:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {context} tokens. However, your messages have {characters} "
            "characters, which are more. Please reduce the length of the messages.",
            param="messages",
        )


def _limit(body: Json, prompt: int, context: int) -> int:
    """Tokens the reply may have: what was asked for, or less where the context ends before."""
    if prompt >= context:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {context} tokens. However, your messages resulted in "
            f"{prompt} tokens. Please reduce the length of the messages.",
            param="messages",
        )
    room = context - prompt
    # Programs written for models with longer contexts ask for more than there is; a shorter reply serves them better
    # than an error, and its finish_reason says "length".
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            return min(_integer(body, name, 1, 2**31, 1), room)
    return room


def _sampling(body: Json, limit: int) -> Sampling:
    numbers = {name: _number(body, name, low, high, default) for name, low, high, default in _NUMBERS}
    if numbers["temperature"] < COOLEST:
        numbers["temperature"] = 0.0
    alternatives = None
    if body.get("logprobs"):
        alternatives = _integer(body, "top_logprobs", 0, 20, 0)
    elif body.get("top_logprobs"):
        raise InvalidRequest(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )
    return Sampling(
        **numbers,
        top_k=_integer(body, "top_k", -1, 2**31, 0),
        logit_bias=_bias(body),
        logprobs=alternatives,
        max_tokens=limit,
        seed=None if body.get("seed") is None else _integer(body, "seed", -(2**63), 2**63 - 1, 0),
        ignore_eos=bool(body.get("ignore_eos", False)),
    )


def _bias(body: Json) -> dict[int, float]:
    bias = body.get("logit_bias") or {}
    try:
        found = {int(token): float(value) for token, value in bias.items()}
    except (TypeError, ValueError, AttributeError) as exc:
        raise InvalidRequest(f"'logit_bias' maps token ids to numbers: {exc}.", param="logit_bias") from exc
    for token, value in found.items():
        if not -100 <= value <= 100 or token < 0:
            raise InvalidRequest(f"{value} for token {token} is outside -100 to 100 - 'logit_bias'", param="logit_bias")
    return found


def _stops(body: Json) -> list[str]:
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    if len(stops) > 4:
        raise InvalidRequest(f"{len(stops)} stop sequences are too many: at most 4 - 'stop'", param="stop")
    return stops


def _tools(body: Json) -> tuple[list[Json], list[Json]]:
    """The tools the model is told about, and those of which it must call one (empty: it may answer in words)."""
    tools = list(body.get("tools") or ())
    tools += [{"type": "function", "function": f} for f in body.get("functions") or ()]
    tools = [tool for tool in tools if tool.get("type") == "function"]
    choice = body.get("tool_choice", body.get("function_call"))
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or choice
        names = {(t.get("function") or t).get("name") for t in allowed.get("tools") or ()}
        tools = [tool for tool in tools if tool["function"]["name"] in names]
        choice = allowed.get("mode", "auto")
    if choice == "none":
        return [], []
    if choice in (None, "auto"):
        return tools, []
    if not tools:
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice == "required":
        return tools, tools
    name = (choice.get("function") or choice).get("name") if isinstance(choice, Mapping) else choice
    named = [tool for tool in tools if tool["function"]["name"] == name]
    if not named:
        raise InvalidRequest(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    return tools, named


def _names_function(body: Json) -> bool:
    choice = body.get("tool_choice", body.get("function_call"))
    return isinstance(choice, Mapping) and choice.get("type") != "allowed_tools"


def _grammar(body: Json, grammars: Grammars, forced: list[Json]) -> tuple[str | None, str]:
    if forced:
        parallel = body.get("parallel_tool_calls", True) is not False and not _names_function(body)
        return grammars.tool_grammar(forced, parallel), "tools"
    return format_grammar(body.get("response_format") or {}), "response_format"


def _number(body: Json, name: str, low: float, high: float, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"Invalid type for '{name}': expected a number, got {value!r}.", param=name)
    if not low <= value <= high:
        side, bound = ("less", low) if value < low else ("greater", high)
        word = "minimum" if value < low else "maximum"
        raise InvalidRequest(f"{value} is {side} than the {word} of {bound:g} - '{name}'", param=name)
    return float(value)


def _integer(body: Json, name: str, low: int, high: int, default: int) -> int:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise InvalidRequest(f"Invalid type for '{name}': expected an integer, got {value!r}.", param=name)
    return int(_number(body, name, low, high, default))
