"""From a row's fields to a line of a training file: a conversation, a labelled one, or a pair of answers.

Understands rows by their columns (question and answer, in English or Russian), and rows that already are
examples: OpenAI's chat and preference formats, ``prompt/chosen/rejected``, ShareGPT's ``conversations``. Pure.
"""

from collections.abc import Mapping
from typing import Any

from hypotez.data.check import Complaint, shape_of
from hypotez.data.columns import Role

Json = dict[str, Any]

_SPEAKERS = {"human": "user", "gpt": "assistant", "bot": "assistant"}
_KEPT = (
    "messages",
    "label",
    "input",
    "preferred_output",
    "non_preferred_output",
    "preferred_completion",
    "non_preferred_completion",
    "tools",
    "parallel_tool_calls",
    "functions",
)
_YES = frozenset(["true", "1", "1.0", "yes", "y", "good", "+", "да", "хорошо", "верно", "истина"])
_NO = frozenset(["false", "0", "0.0", "no", "n", "bad", "-", "нет", "плохо", "неверно", "ложь"])


def ready_made(fields: Mapping[str, Any]) -> Json | None:
    """The fields as an example when they already are one."""
    if "conversations" in fields and "messages" not in fields:
        fields = {**fields, "messages": fields["conversations"]}
    if shape_of(fields) is None:
        return None
    example = {key: fields[key] for key in _KEPT if key in fields and fields[key] is not None}
    if isinstance(example.get("messages"), list):
        example["messages"] = [_spoken(message) for message in example["messages"]]
    return example


def from_columns(fields: Mapping[str, Any], roles: Mapping[str, Role]) -> tuple[Json, list[Complaint]]:
    """The example a row makes under its columns' roles, and what is wrong with the row."""
    by_role = {role: name for name, role in roles.items()}
    complaints: list[Complaint] = []

    def needed(role: Role, what: str) -> Any:
        value = _value(fields.get(by_role[role]))
        if not value:
            complaints.append(Complaint(by_role[role], f"the {what} is empty"))
        return value

    def optional(role: Role) -> str:
        return str(_value(fields.get(by_role.get(role, ""))))

    prompt = needed(Role.PROMPT, "question")
    if isinstance(prompt, str) and optional(Role.CONTEXT):
        prompt = f"{prompt}\n\n{optional(Role.CONTEXT)}"
    messages = _messages(prompt, "user")
    if optional(Role.SYSTEM):
        messages = [{"role": "system", "content": optional(Role.SYSTEM)}, *messages]
    if Role.COMPLETION not in by_role:
        better, worse = needed(Role.PREFERRED, "better answer"), needed(Role.NON_PREFERRED, "worse answer")
        if better and better == worse:
            complaints.append(Complaint(by_role[Role.NON_PREFERRED], "the two answers are the same"))
        return pair(messages, _messages(better, "assistant"), _messages(worse, "assistant")), complaints
    answer = needed(Role.COMPLETION, "answer")
    example: Json = {"messages": [*messages, *_messages(answer, "assistant")]}
    if Role.LABEL in by_role:
        name = by_role[Role.LABEL]
        example["label"] = truth(fields.get(name))
        if example["label"] is None:
            complaints.append(Complaint(name, f"{fields.get(name)!r} is not true or false"))
    return example, complaints


def open_ended(fields: Mapping[str, Any], roles: Mapping[str, Role]) -> tuple[Json, list[Complaint]]:
    """A prompt without an answer, for reinforcement; the row's other fields stay, for the grader to read.

    ``roles`` are of no account where the row has ``messages`` already.
    """
    if "messages" in fields:
        return {key: value for key, value in fields.items() if value is not None}, []
    by_role = {role: name for name, role in roles.items()}
    asked = {by_role[role] for role in (Role.PROMPT, Role.SYSTEM) if role in by_role}
    system, prompt = (_value(fields.get(by_role.get(role, ""))) for role in (Role.SYSTEM, Role.PROMPT))
    complaints = [] if prompt else [Complaint(by_role[Role.PROMPT], "the question is empty")]
    messages = [*(_messages(system, "system") if system else []), *_messages(prompt, "user")]
    return {"messages": messages, **{name: value for name, value in fields.items() if name not in asked}}, complaints


def pair(prompt: list[Json], better: list[Json], worse: list[Json]) -> Json:
    """A preference example; the answers are the last message of what is given."""
    return {"input": {"messages": prompt}, "preferred_output": better[-1:], "non_preferred_output": worse[-1:]}


def with_system(example: Json, instruction: str | None) -> Json:
    """The example opening with the system instruction, unless it has one of its own."""
    inner = example.get("input", example)
    messages = inner.get("messages") if isinstance(inner, dict) else None
    if not instruction or not isinstance(messages, list) or any(_is_system(message) for message in messages):
        return example
    opened = {**inner, "messages": [{"role": "system", "content": instruction}, *messages]}
    return {**example, "input": opened} if "input" in example else {**example, **opened}


def prompt_of(example: Mapping[str, Any]) -> Any:
    """What the example asks, without its answer and its system message."""
    if "messages" in example:
        messages = example["messages"]
        answered = bool(messages) and isinstance(messages[-1], dict) and messages[-1].get("role") == "assistant"
        messages = messages[:-1] if answered else messages
    else:
        messages = example["input"]["messages"]
    return [message for message in messages if not _is_system(message)]


def truth(value: object) -> bool | None:
    """A label as people write it; ``None`` when it is neither yes nor no."""
    word = str(value).strip().casefold()
    return True if word in _YES else False if word in _NO else None


def _is_system(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")


def _value(value: object) -> str | list[Any]:
    """A cell as text; a list (messages) as it is; nothing as the empty string."""
    if value is None:
        return ""
    return value if isinstance(value, list) else str(value).strip()


def _messages(value: Any, role: str) -> list[Json]:
    return value if isinstance(value, list) else [{"role": role, "content": value}]


def _spoken(message: Any) -> Any:
    """ShareGPT's ``{from, value}`` as ``{role, content}``; anything else unchanged."""
    if not isinstance(message, dict) or "from" not in message:
        return message
    return {"role": _SPEAKERS.get(message["from"], message["from"]), "content": message.get("value")}
