"""What a client may send to assistants, threads, messages and runs. Knows no store and no HTTP.

``sent()`` gives exactly the fields the client set: unset, null, 0 and "" mean different things.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from hypotez.wire.bodies import Body, Metadata, ModelName

Json = dict[str, Any]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
TopP = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
TokenLimit = Annotated[int, Field(ge=256, le=2**31)]
Instructions = Annotated[str, Field(max_length=256_000)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Id = Annotated[str, Field(max_length=128)]
Detail = Literal["auto", "low", "high"]


class Function(Body):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = Field(None, max_length=65_536)
    parameters: Json | None = None
    strict: bool | None = None


class FunctionTool(Body):
    type: Literal["function"]
    function: Function


class BuiltInTool(Body):
    """Tools that the server itself would run. Kept in the objects; a run that has one fails with the reason."""

    type: Literal["code_interpreter", "file_search"]
    file_search: Json | None = None


Tool = Annotated[FunctionTool | BuiltInTool, Field(discriminator="type")]


class FileIds(Body):
    file_ids: list[Id] = Field(default_factory=list, max_length=20)


class FileSearch(Body):
    vector_store_ids: list[Id] = Field(default_factory=list, max_length=1)


class ToolResources(Body):
    code_interpreter: FileIds | None = None
    file_search: FileSearch | None = None


class Schema(Body):
    model_config = ConfigDict(serialize_by_alias=True)
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: Json | None = Field(None, alias="schema")
    strict: bool | None = None


class PlainFormat(Body):
    type: Literal["text", "json_object"]


class SchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: Schema


ResponseFormat = Literal["auto"] | Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")]


class FunctionName(Body):
    name: str = Field(min_length=1, max_length=64)


class NamedTool(Body):
    type: Literal["function", "code_interpreter", "file_search"]
    function: FunctionName | None = None

    @model_validator(mode="after")
    def names_its_function(self) -> "NamedTool":
        if self.type == "function" and self.function is None:
            raise ValueError("a tool_choice of type 'function' needs 'function.name'")
        return self


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class Truncation(Body):
    type: Literal["auto", "last_messages"]
    last_messages: int | None = Field(None, ge=1, le=2**31)


class AssistantFields(Body):
    name: str | None = Field(None, max_length=256)
    description: str | None = Field(None, max_length=512)
    instructions: Instructions | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None


class CreateAssistant(AssistantFields):
    model: ModelName


class ModifyAssistant(AssistantFields):
    model: ModelName | None = None


class ImageFile(Body):
    file_id: Id = Field(min_length=1)
    detail: Detail = "auto"


class ImageUrl(Body):
    url: str = Field(min_length=1, max_length=32 * 1024**2)
    detail: Detail = "auto"

    @field_validator("url")
    @classmethod
    def is_reachable(cls, url: str) -> str:
        if not url.startswith(("http://", "https://", "data:image/")):
            raise ValueError("an image URL begins with http://, https:// or data:image/")
        return url


class TextPart(Body):
    type: Literal["text"]
    text: str = Field(max_length=256_000)


class ImageFilePart(Body):
    type: Literal["image_file"]
    image_file: ImageFile


class ImageUrlPart(Body):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImageFilePart | ImageUrlPart, Field(discriminator="type")]


class AttachmentTool(Body):
    type: Literal["code_interpreter", "file_search"]


class Attachment(Body):
    file_id: Id = Field(min_length=1)
    tools: list[AttachmentTool] | None = Field(None, max_length=10)


class CreateMessage(Body):
    role: Literal["user", "assistant"]
    content: Annotated[str, Field(max_length=256_000)] | list[Part]
    attachments: list[Attachment] | None = Field(None, max_length=500)
    metadata: Metadata | None = None

    @field_validator("content")
    @classmethod
    def is_not_empty(cls, content: str | list[Part]) -> str | list[Part]:
        if not content:
            raise ValueError("Message content must be non-empty.")
        return content

    def parts(self) -> list[Json]:
        """The content as the message object shows it."""
        if isinstance(self.content, str):
            return [text_part(self.content)]
        return [text_part(p.text) if isinstance(p, TextPart) else p.model_dump() for p in self.content]


def text_part(value: str) -> Json:
    return {"type": "text", "text": {"value": value, "annotations": []}}


class ModifyMetadata(Body):
    metadata: Metadata | None = None


class ModifyThread(ModifyMetadata):
    tool_resources: ToolResources | None = None


class CreateThread(ModifyThread):
    messages: list[CreateMessage] | None = Field(None, max_length=100_000)


class RunFields(Body):
    assistant_id: Id
    model: ModelName | None = None
    instructions: Instructions | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_prompt_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    truncation_strategy: Truncation | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    stream: bool | None = None


class CreateRun(RunFields):
    additional_instructions: Instructions | None = None
    additional_messages: list[CreateMessage] | None = Field(None, max_length=100_000)


class CreateThreadAndRun(RunFields):
    thread: CreateThread | None = None
    tool_resources: ToolResources | None = None


class ToolOutput(Body):
    tool_call_id: str | None = Field(None, max_length=256)
    output: str | None = Field(None, max_length=512 * 1024)


class SubmitToolOutputs(Body):
    tool_outputs: list[ToolOutput] = Field(max_length=256)
    stream: bool | None = None
