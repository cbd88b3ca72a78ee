"""The body of POST /v1/chat/completions, checked in OpenAI's words.

Only what every server would refuse is refused: unknown fields pass, because an upstream may know them.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from hypotez.wire.bodies import Body, Metadata, ModelName

Json = dict[str, Any]


class Open(Body):
    model_config = ConfigDict(extra="allow")


class FunctionCall(Open):
    name: str
    arguments: str


class AssistantCall(Open):
    id: str
    type: str = "function"
    function: FunctionCall | None = None


class Part(Open):
    type: str
    text: str | None = None
    refusal: str | None = None


class Message(Open):
    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[AssistantCall] | None = None
    function_call: FunctionCall | None = None
    tool_call_id: str | None = None


class FunctionDefinition(Open):
    name: Annotated[str, Field(max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(Open):
    type: Literal["function", "custom"]
    function: FunctionDefinition | None = None


class Named(Open):
    name: str


class AllowedTools(Open):
    mode: Literal["auto", "required"] | None = None
    tools: list["NamedTool"] | None = None


class NamedTool(Open):
    """A tool that is meant: in OpenAI's older form, its newer one, or the flat one of its Responses API."""

    type: str | None = None
    name: str | None = None
    function: Named | None = None


class ToolChoice(NamedTool):
    allowed_tools: AllowedTools | None = None
    tools: list[NamedTool] | None = None
    mode: Literal["auto", "required"] | None = None


class StreamOptions(Open):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ResponseFormat(Open):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: Json | None = None


Penalty = Annotated[float, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1)]


class CreateChatCompletion(Open):
    model: ModelName
    messages: Annotated[list[Message], Field(min_length=1)]
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    metadata: Metadata | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: str | ToolChoice | None = None
    functions: Annotated[list[FunctionDefinition], Field(max_length=128)] | None = None  # of before there were tools
    function_call: str | Named | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.stream_options is not None and not self.stream:
            _refuse("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        if self.top_logprobs and not self.logprobs:
            _refuse("top_logprobs", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
        if self.tool_choice is not None and self.tool_choice != "none" and not self.tools:
            _refuse("tool_choice", "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
                    "specified.")  # fmt: skip
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            _refuse(
                "max_tokens",
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported. "
                "'max_tokens' is the older name: keep 'max_completion_tokens'.",
            )
        for index, tool in enumerate(self.tools or ()):
            if tool.type == "function" and tool.function is None:
                _missing(f"tools[{index}].function")
        self._check_tool_choice()
        self._check_messages()
        return self

    def _check_tool_choice(self) -> None:
        choice = self.tool_choice
        if isinstance(choice, str) and choice not in ("none", "auto", "required"):
            _refuse(
                "tool_choice",
                f"Invalid value: '{choice[:100]}'. Supported values are: 'none', 'auto', and 'required'.",
            )
        if isinstance(choice, ToolChoice) and choice.function is not None:
            names = {tool.function.name for tool in self.tools or () if tool.function}
            if choice.function.name not in names:
                name = choice.function.name[:100]
                _refuse("tool_choice", f"Tool choice function {name!r} not found in 'tools' parameter.")

    def _check_messages(self) -> None:
        asked: set[str] = set()  # ids of calls that still need their answer
        for index, message in enumerate(self.messages):
            place = f"messages[{index}]"
            for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
                if part.type in ("text", "refusal") and getattr(part, part.type) is None:
                    _missing(f"{place}.content[{number}].{part.type}")
            if message.role == "tool":
                if message.tool_call_id is None:
                    _missing(f"{place}.tool_call_id")
                elif message.tool_call_id not in asked:
                    _refuse(
                        f"{place}.role",
                        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                        "with 'tool_calls'.",
                    )
                asked.discard(message.tool_call_id or "")
                continue
            _answered(asked, place)
            if message.content is None and message.role in ("developer", "system", "user"):
                _refuse(f"{place}.content", f"Invalid value for '{place}.content': expected a string, got null.")
            asked = {call.id for call in message.tool_calls or ()} if message.role == "assistant" else set()
        _answered(asked, "messages")


def _answered(asked: set[str], place: str) -> None:
    if asked:
        _refuse(
            place,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(sorted(asked))}",
        )


def _missing(param: str) -> None:
    _refuse(param, f"Missing required parameter: '{param}'.")


def _refuse(param: str, message: str) -> None:
    """Raise what ``wire/faults.py`` turns into a 400 with this very text and ``param``."""
    # the text goes in as a value: a client's braces in it must not be taken for a template
    raise PydanticCustomError("refused", "{message}", {"message": message, "param": param})
