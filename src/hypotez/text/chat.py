"""A model's side of a conversation: its tokenizer, its template, its special tokens.

Reads a Hugging Face folder (``tokenizer.json``, ``tokenizer_config.json``, ``chat_template.jinja``,
``generation_config.json``, ``config.json``). Training and serving share it, so that a model is asked
in exactly the form it was trained in. Knows no torch.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tokenizers

from hypotez.errors import DataError, InvalidRequest, SettingsError
from hypotez.text.messages import Json, merged, plain
from hypotez.text.stream import Stream, TokenBytes
from hypotez.text.template import CHATML, PLAIN, Template
from hypotez.text.tools import ToolFormat

# Tokens that end a turn in the families we serve; one counts when the template writes it.
_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "</s>")


class Chat:
    """``eos_ids`` end a reply; ``pad_id`` fills where something must stand."""

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        template: str | None = None,
        *,
        special: Mapping[str, str] | None = None,
        eos_ids: Sequence[int] = (),
        tool_template: str | None = None,
    ) -> None:
        special = dict(special or {})
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        source = template or (CHATML if "<|im_end|>" in vocabulary else PLAIN)
        self.tokenizer = tokenizer
        self.template = Template(source, special)
        self.tool_template = Template(tool_template, special) if tool_template else self.template
        self.tool_format = ToolFormat.of(self.tool_template.source)
        self.vocab_size = tokenizer.get_vocab_size(with_added_tokens=True)
        self.bos_id = tokenizer.token_to_id(special["bos_token"]) if special.get("bos_token") else None
        ends = {vocabulary[t] for t in _TURN_ENDS if t in vocabulary and t in source}
        if special.get("eos_token") in vocabulary:
            ends.add(vocabulary[special["eos_token"]])
        self.eos_ids = frozenset(ends | set(eos_ids))
        pad = special.get("pad_token")
        self.pad_id = vocabulary[pad] if pad in vocabulary else min(self.eos_ids, default=0)
        added = tokenizer.get_added_tokens_decoder()
        self._control = [token.content for token in added.values() if token.special]
        self._ends = [added[i].content for i in self.eos_ids if i in added]
        marks = [vocabulary[t] for t in (self.tool_format.start, "[ARGS]") if t in vocabulary]
        self.token_bytes = TokenBytes(tokenizer, keep=marks)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Raises ``SettingsError`` when the folder holds no usable tokenizer."""
        folder = Path(folder)
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise SettingsError(f"{folder} has no tokenizer.json; a model folder needs one beside its weights.")
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as exc:  # tokenizers raises bare Exception
            raise SettingsError(f"{path} cannot be read: {exc}") from exc
        tokenizer.no_truncation()
        tokenizer.no_padding()
        config = _read(folder / "tokenizer_config.json")
        template, tool_template = _templates(folder, config)
        return cls(
            tokenizer,
            template,
            special=_special(folder, config),
            eos_ids=_eos_ids(folder),
            tool_template=tool_template,
        )

    def encode(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        generate: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """The conversation's token ids; ``generate`` ends them where the reply begins.

        ``options`` are extra variables for the template (``enable_thinking`` and the like).
        """
        turns, definitions = self._conform(messages, tools, options)
        return self.encode_text(self._render(turns, definitions, generate, options))

    def train_example(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[list[int], list[bool]]:
        """Token ids and, for each, whether it is learnt: the assistant's replies with their end token.

        A reply with ``weight: 0`` is context only. Works for every template that prints replies as they
        are: where a reply lies is found by rendering the conversation up to it.
        """
        turns, definitions = self._conform(messages, tools, None)
        text = self._render(turns, definitions, False, None)
        spans: list[tuple[int, int]] = []
        cursor = 0
        for i, turn in enumerate(turns):
            if turn["role"] == "assistant":
                start, cursor = self._reply_span(text, turns, i, definitions, cursor)
                if turn.get("weight") != 0:
                    spans.append((start, cursor))
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, _mask(encoding.offsets, spans)

    def encode_text(self, text: str) -> list[int]:
        """Ids of text as it stands: no template, no token added."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text a stream of these ids would give."""
        stream = self.stream()
        return "".join(map(stream.push, ids)) + stream.flush()

    def stream(self) -> Stream:
        """Text of one reply, token by token: ``push(token_id) -> str`` and ``flush() -> str``."""
        return Stream(self.token_bytes)

    def _conform(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        options: Mapping[str, Any] | None,
    ) -> tuple[list[Json], list[Json] | None]:
        """Messages and tools in the shape this model's template accepts."""
        if not messages:
            raise InvalidRequest("[] is too short - 'messages'", param="messages")
        turns = [plain(message, self._control) for message in messages]
        definitions = [_definition(tool) for tool in tools] if tools else None
        if not self.tool_template.knows_tools:
            turns, definitions = _without_tools(turns, definitions), None
        if self.tool_format is ToolFormat.MISTRAL:
            turns = [_short_ids(turn) for turn in turns]
        try:
            self._render(turns, definitions, False, options)
        except InvalidRequest:
            joined = merged(turns)
            try:
                self._render(joined, definitions, False, options)
            except InvalidRequest:
                joined = turns
            turns = joined  # if both fail, the caller's own rendering raises the first reason
        return turns, definitions

    def _render(
        self, turns: Sequence[Json], tools: Sequence[Json] | None, generate: bool, options: Mapping[str, Any] | None
    ) -> str:
        template = self.tool_template if tools else self.template
        return template.render(turns, tools, generate=generate, options=options)

    def _reply_span(
        self, text: str, turns: Sequence[Json], i: int, tools: Sequence[Json] | None, cursor: int
    ) -> tuple[int, int]:
        """Where turn ``i``, an assistant's, lies in ``text``, its end token included."""
        content = turns[i]["content"].strip()
        before = self._prefix(text, turns[:i], tools, True)
        if before is None:  # the template rewrites history (drops old thoughts, say): look for the reply itself
            start = text.find(content, cursor) if content else -1
            if start < 0:
                raise DataError(f"Message {i + 1} cannot be found in what the model's chat template makes of it.")
        else:
            start = before
        end = self._prefix(text, turns[: i + 1], tools, False)
        if end is None or end <= start:
            end = text.find(content, start) + len(content)
            marks = [at + len(mark) for mark in self._ends if (at := text.find(mark, end)) >= 0]
            return start, min(marks, default=end)
        marks = [at + len(mark) for mark in self._ends if (at := text.rfind(mark, start, end)) >= 0]
        return start, max(marks, default=end)

    def _prefix(self, text: str, turns: Sequence[Json], tools: Sequence[Json] | None, generate: bool) -> int | None:
        """Length of these turns' rendering if ``text`` begins with it."""
        try:
            rendered = self._render(turns, tools, generate, None)
        except InvalidRequest:
            return None
        return len(rendered) if text.startswith(rendered) else None


def _mask(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """True for tokens that begin inside one of the ascending spans."""
    mask = []
    ahead = list(reversed(spans))
    for start, _ in offsets:
        while ahead and start >= ahead[-1][1]:
            ahead.pop()
        mask.append(bool(ahead) and start >= ahead[-1][0])
    return mask


def _definition(tool: Mapping[str, Any]) -> Json:
    function = {key: value for key, value in dict(tool.get("function") or {}).items() if key != "strict"}
    return {"type": "function", "function": function}


def _without_tools(turns: Sequence[Json], tools: Sequence[Json] | None) -> list[Json]:
    """Tools told in words, for a template that has never heard of them."""
    result = []
    for turn in turns:
        content = turn["content"]
        for call in turn.get("tool_calls", ()):
            content += f"\n<tool_call>\n{json.dumps(call['function'], ensure_ascii=False)}\n</tool_call>"
        if turn["role"] == "tool":
            turn = {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
        else:
            turn = {k: v for k, v in turn.items() if k != "tool_calls"} | {"content": content.strip("\n")}
        result.append(turn)
    if tools:
        listing = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        words = (
            f"You may call these functions:\n<tools>\n{listing}\n</tools>\nTo call one, answer with:\n"
            '<tool_call>\n{"name": <function-name>, "arguments": <arguments-object>}\n</tool_call>'
        )
        if result and result[0]["role"] == "system":
            return [{**result[0], "content": f"{result[0]['content']}\n\n{words}"}, *result[1:]]
        return [{"role": "system", "content": words}, *result]
    return result


def _short_ids(turn: Json) -> Json:
    """Mistral's templates insist on call ids of nine letters or digits."""

    def short(identifier: str) -> str:
        return hashlib.sha256(identifier.encode()).hexdigest()[:9]

    turn = dict(turn)
    if "tool_call_id" in turn:
        turn["tool_call_id"] = short(turn["tool_call_id"])
    if "tool_calls" in turn:
        turn["tool_calls"] = [{**call, "id": short(call["id"])} for call in turn["tool_calls"]]
    return turn


def _read(path: Path) -> Json:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise SettingsError(f"{path} is not JSON: {exc}") from exc
    return found if isinstance(found, dict) else {}


def _templates(folder: Path, config: Json) -> tuple[str | None, str | None]:
    """The folder's chat template and, where it brings one, its separate template for tools."""
    for name in ("chat_template.jinja", "chat_template.json"):
        path = folder / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            return (text if path.suffix == ".jinja" else json.loads(text)["chat_template"]), None
    found = config.get("chat_template")
    if isinstance(found, list):
        by_name = {entry["name"]: entry["template"] for entry in found}
        return by_name.get("default", next(iter(by_name.values()), None)), by_name.get("tool_use")
    return found, None


def _special(folder: Path, config: Json) -> dict[str, str]:
    """``bos_token`` and its kin as strings."""
    special = {}
    for source in (_read(folder / "special_tokens_map.json"), config):
        for key, value in source.items():
            if key.endswith("_token") and value:
                special[key] = value["content"] if isinstance(value, dict) else str(value)
    return {"bos_token": "", "eos_token": ""} | {k: v for k, v in special.items() if not k.startswith("add_")}


def _eos_ids(folder: Path) -> list[int]:
    ids: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        found = _read(folder / name).get("eos_token_id")
        if found is not None:
            ids |= set(found) if isinstance(found, list) else {found}
    return sorted(ids)
