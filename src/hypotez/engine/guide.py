"""Constrained decoding: a grammar says which tokens may come next (llguidance).

A grammar is compiled once per text and then copied; the masks of a whole batch are computed in parallel
outside Python's lock. Knows JSON schemas, tools and regular expressions as the wire writes them.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import llguidance
import numpy as np
import torch
from torch import Tensor

from hypotez.errors import InvalidRequest
from hypotez.text import Chat, ToolFormat

Json = Mapping[str, Any]


class Guide:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: llguidance.LLMatcher) -> None:
        self.matcher = matcher

    def accept(self, token: int) -> None:
        self.matcher.consume_token(token)

    @property
    def done(self) -> bool:
        """Nothing but the end may follow."""
        return bool(self.matcher.is_stopped())


class Grammars:
    """The grammars of one model's vocabulary."""

    def __init__(self, chat: Chat, vocab_size: int) -> None:
        self._tokenizer = llguidance.LLTokenizer(
            chat.tokenizer.to_str(), n_vocab=vocab_size, eos_token=sorted(chat.eos_ids) or [0]
        )
        self._format = chat.tool_format
        self._special = {token.content for token in chat.tokenizer.get_added_tokens_decoder().values()}
        self._executor = llguidance.LLExecutor()
        self._words = (vocab_size + 31) // 32
        self._vocab_size = vocab_size
        self._compiled = lru_cache(maxsize=256)(self._compile)

    def guide(self, grammar: str, param: str) -> Guide:
        """A fresh reply under ``grammar``. Raises ``InvalidRequest`` naming ``param`` for a grammar that is wrong."""
        matcher = self._compiled(grammar)
        if matcher.is_error():
            reason = matcher.get_error().splitlines()[0]
            raise InvalidRequest(f"Invalid schema or grammar: {reason}", param=param)
        return Guide(matcher.deep_copy())

    def tool_grammar(self, tools: Sequence[Json], parallel: bool) -> str:
        """One call of one of ``tools`` (or several, one after another), in the model's own form."""
        start = self._token(self._format.start)
        if self._format is ToolFormat.MISTRAL:
            schema = {"type": "array", "minItems": 1, "items": {"anyOf": [_call(t, "arguments") for t in tools]}}
            if not parallel:
                schema["maxItems"] = 1
            return _lark(f"start: {start} %json {json.dumps(schema)}")
        key = "parameters" if self._format is ToolFormat.LLAMA3 else "arguments"
        schema = {"anyOf": [_call(tool, key) for tool in tools]}
        value = f"value: %json {json.dumps(schema)}"
        if self._format is ToolFormat.LLAMA3:
            return _lark(f"start: value\n{value}")
        call = f'{start} "\\n" value "\\n" {self._token("</tool_call>")}'
        more = ' ("\\n" call)*' if parallel else ""
        return _lark(f"start: call{more}\ncall: {call}\n{value}")

    def allowed(self, guides: Sequence[Guide | None]) -> Tensor | None:
        """(N, V), True where the token may come next; None when no reply is constrained."""
        if not any(guides):
            return None
        bits = np.full((len(guides), self._words), -1, dtype=np.int32)
        jobs = [(g.matcher, i) for i, g in enumerate(guides) if g is not None]
        self._executor.unsafe_compute_mask_ptr(jobs, bits.ctypes.data, self._words * 4, len(guides))
        flags = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little", count=self._vocab_size)
        return torch.from_numpy(flags.view(np.bool_))

    def _compile(self, grammar: str) -> llguidance.LLMatcher:
        return llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)

    def _token(self, text: str) -> str:
        """How Lark names ``text``: a token of the vocabulary by itself, anything else as a string."""
        return text if text in self._special and text.startswith("<") else json.dumps(text)


def _call(tool: Json, key: str) -> Json:
    function = tool["function"]
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            key: function.get("parameters") or {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "required": ["name", key],
        "additionalProperties": False,
    }


def _lark(text: str) -> str:
    return str(llguidance.LLMatcher.grammar_from_lark(text))


def format_grammar(response_format: Json) -> str | None:
    """The grammar of a ``response_format``; None for plain text.

    Beside OpenAI's three there is ``{"type": "grammar", "grammar": {"syntax": "regex" | "lark", "definition": ...}}``.
    """
    match response_format.get("type"):
        case "text" | None:
            return None
        case "json_object":
            return _json({"type": "object"})
        case "json_schema":
            schema = (response_format.get("json_schema") or {}).get("schema")
            return _json({"type": "object"} if schema is None else schema)
        case "grammar":
            grammar = response_format.get("grammar") or {}
            definition = str(grammar.get("definition", ""))
            if grammar.get("syntax") == "regex":
                return str(llguidance.LLMatcher.grammar_from_regex(definition))
            return _lark(definition)
        case other:
            raise InvalidRequest(
                f"Invalid value: '{other}'. Supported values are: 'text', 'json_object', 'json_schema' and 'grammar'.",
                param="response_format.type",
            )


def _json(schema: Any) -> str:
    # One blank after ':' and ',' and no other: a small model let loose on white space never stops.
    try:
        return str(
            llguidance.LLMatcher.grammar_from_json_schema(
                schema,
                overrides={
                    "whitespace_flexible": False,
                    "item_separator": ", ",
                    "key_separator": ": ",
                    "lenient": True,
                },
            )
        )
    except ValueError as exc:
        raise InvalidRequest(f"Invalid schema for response_format: {exc}", param="response_format") from exc
