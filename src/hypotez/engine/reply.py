"""Tokens of one choice to the wire's ``chat.completion.chunk`` pieces: text, tool calls, log-probabilities, the end."""

import secrets
import string
from collections.abc import Sequence
from typing import Any

from hypotez.engine.sequence import Finish, TokenLogprob
from hypotez.engine.stops import Stops
from hypotez.text import Call, Chat, ToolCalls

Json = dict[str, Any]

_ALPHABET = string.ascii_letters + string.digits


class Reply:
    """One choice. ``push`` after every token; ``over`` is set once a stop string ends it early.

    ``called`` is the reason that a choice with calls ends with.
    """

    def __init__(
        self, chat: Chat, index: int, stops: Sequence[str], tools: Sequence[str], called: str = "tool_calls"
    ) -> None:
        self._chat = chat
        self._index = index
        self._stream = chat.stream()
        self._stops = Stops(stops)
        self._calls = ToolCalls(chat.tool_format, tools) if tools else None
        self._called = 0
        self._finish_called = called
        self._logprobs: list[Json] = []
        self.over = False

    def start(self) -> Json:
        return self._choice({"role": "assistant", "content": ""})

    def push(self, token: int, logprob: TokenLogprob | None, finish: Finish | None) -> list[Json]:
        """The choices to send now, often none: text waits for whole characters and possible stop strings."""
        if finish is not Finish.STOP or token not in self._chat.eos_ids:
            if logprob is not None:
                self._logprobs.append(self._logprob(logprob))
            text = self._stops.push(self._stream.push(token))
        else:
            text = ""
        if self._stops.hit:
            self.over = True
            finish = Finish.STOP
        if finish is None:
            return self._deltas(text)
        if not self.over:
            text += self._stops.push(self._stream.flush()) + self._stops.flush()
        return self._last(text, finish)

    def _deltas(self, text: str) -> list[Json]:
        calls: list[Call] = []
        if self._calls is not None and text:
            text, calls = self._calls.push(text)
        deltas = [self._choice({"content": text})] if text else []
        return deltas + [self._call(call) for call in calls]

    def _last(self, text: str, finish: Finish) -> list[Json]:
        choices = self._deltas(text)
        if self._calls is not None:
            rest, calls = self._calls.flush()
            choices += [self._choice({"content": rest})] if rest else []
            choices += [self._call(call) for call in calls]
        if self._logprobs:  # of tokens without text of their own
            choices.append(self._choice({"content": ""}))
        reason = self._finish_called if self._called and finish is Finish.STOP else finish.value
        return [*choices, {**self._choice({}), "finish_reason": reason}]

    def _choice(self, delta: Json) -> Json:
        logprobs = {"content": self._logprobs, "refusal": None} if self._logprobs else None
        self._logprobs = []
        return {"index": self._index, "delta": delta, "logprobs": logprobs, "finish_reason": None}

    def _call(self, call: Call) -> Json:
        function = {"name": call.name, "arguments": call.arguments}
        identifier = "call_" + "".join(secrets.choice(_ALPHABET) for _ in range(24))
        entry = {"index": self._called, "id": identifier, "type": "function", "function": function}
        self._called += 1
        return self._choice({"tool_calls": [entry]})

    def _logprob(self, found: TokenLogprob) -> Json:
        top = [self._token(token, value) for token, value in found.top]
        return {**self._token(found.token, found.logprob), "top_logprobs": top}

    def _token(self, token: int, logprob: float) -> Json:
        raw = self._chat.token_bytes[token] or (self._chat.tokenizer.id_to_token(token) or "").encode()
        # JSON has no infinity: OpenAI writes -9999 for what cannot happen.
        return {"token": raw.decode("utf-8", "replace"), "logprob": max(logprob, -9999.0), "bytes": list(raw)}
