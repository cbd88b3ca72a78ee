"""A chat template: Jinja text that turns messages into one string, rendered in a sandbox.

The same dialect as Hugging Face's (``raise_exception``, ``strftime_now``, ``tojson`` that keeps
Unicode, ``{% generation %}`` blocks, loop controls). Knows nothing about tokens.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from hypotez.errors import InvalidRequest
from hypotez.text.messages import Json

# Ours, and the fallback for folders that bring none: ChatML turns, Hermes tool calls (the form Qwen uses).
CHATML = """\
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages and messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}
{{- '# Tools\\n\\nYou may call these functions:\\n<tools>' }}
{%- for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}
{{- '\\n</tools>\\n\\nTo call one, answer with:\\n<tool_call>\\n' }}
{{- '{"name": <function-name>, "arguments": <arguments-object>}\\n</tool_call><|im_end|>\\n' }}
{%- elif messages and messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'system' and loop.first %}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
{%- if message.content or not loop.first %}{{ '\\n' }}{% endif %}
{{- '<tool_call>\\n{"name": ' + (call.function.name | tojson) + ', "arguments": ' }}
{{- (call.function.arguments if call.function.arguments is string else call.function.arguments | tojson) }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# For a base model that has neither a template nor ChatML's tokens.
PLAIN = """\
{{- bos_token }}{%- for message in messages %}
{{- message.role | capitalize + ': ' + message.content }}
{%- if message.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""


class Template:
    """``special`` holds the special tokens a template may name, such as ``bos_token``."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        self.source = source
        self.special = dict(special)
        self.knows_tools = "tools" in source
        try:
            self._compiled = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as exc:
            raise InvalidRequest(f"The model's chat template has a syntax error in line {exc.lineno}: {exc}.") from exc

    def render(
        self,
        messages: Sequence[Json],
        tools: Sequence[Json] | None = None,
        *,
        generate: bool,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as one string; ``generate`` ends it where the assistant's reply begins."""
        try:
            # what the conversation is cannot be set by an option of the same name
            own = {"messages": list(messages), "tools": list(tools) if tools else None, "documents": None}
            return self._compiled.render({**self.special, **(options or {}), **own, "add_generation_prompt": generate})
        except (jinja2.TemplateError, TypeError) as exc:
            raise InvalidRequest(f"The model's chat template refuses these messages: {exc}", param="messages") from exc


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks the assistant's text for training; here its body is simply printed."""

    tags = {"generation"}  # noqa: RUF012  (the base class declares it so)

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> jinja2.Environment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)  # Jinja's own escapes HTML characters


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)
