"""Groups of replies from a decoder that somebody else is changing: what reinforcement fine-tuning learns from.

The engine without its thread. Knows no reward and no training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypotez.engine.engine import Engine, EngineOptions
from hypotez.engine.guide import Grammars
from hypotez.engine.reply import Reply
from hypotez.engine.request import read
from hypotez.engine.sequence import Sequence as TokenSequence
from hypotez.nn.decoder import Decoder
from hypotez.nn.lora import loras
from hypotez.text import Chat

Json = dict[str, Any]

AT_ONCE = 32  # replies computed together
PROMPT = 256  # tokens of a prompt for which there is room in all of them; longer ones wait for each other


@dataclass
class Written:
    """One reply as it grows: tokens, their log-probabilities, and its text and calls as the wire has them."""

    sequence: TokenSequence
    reply: Reply
    logps: list[float] = field(default_factory=list)
    text: str = ""
    calls: list[Json] = field(default_factory=list)
    finish_reason: str = "stop"

    def take(self, choices: Sequence[Mapping[str, Any]]) -> None:
        for choice in choices:
            self.text += choice["delta"].get("content") or ""
            self.calls += [
                {key: value for key, value in call.items() if key != "index"}
                for call in choice["delta"].get("tool_calls") or ()
            ]
            self.finish_reason = choice["finish_reason"] or self.finish_reason


class GroupSampler:
    """``slot`` is the adapter that is trained, None the weights themselves. ``body`` is part of every request."""

    def __init__(self, decoder: Decoder, chat: Chat, slot: int | None, body: Mapping[str, Any]) -> None:
        trained = [parameter for parameter in decoder.parameters() if parameter.requires_grad]
        grammars = Grammars(chat, decoder.config.vocab_size)
        room = AT_ONCE * (PROMPT + int(body.get("max_completion_tokens", PROMPT)))
        options = EngineOptions(max_batch=AT_ONCE, max_queue=1 << 30, cache_tokens=room)
        self._engine = Engine(decoder, options, grammars)
        for parameter in trained:  # the engine, which only reads, takes the gradients away
            parameter.requires_grad_(True)
        self._chat, self._grammars, self._body = chat, grammars, body
        self._slot = -1 if slot is None else slot
        self._weights: str | None = None  # that wrote last

    def write(self, rows: Sequence[Json], seeds: Sequence[int], count: int, weights: str) -> list[list[Written]]:
        """``count`` replies to each row's messages (and tools). Other ``weights`` find nothing in the prefix cache."""
        if weights != self._weights:
            self._weights = weights
            for lora in loras(self._engine.decoder) if self._slot >= 0 else ():
                lora.changed()
        groups = [self._group(row, seed, count, weights) for row, seed in zip(rows, seeds, strict=True)]
        written = {one.sequence: one for group in groups for one in group}
        # the first of each group goes ahead, and the others find its prompt computed
        followers = {group[0].sequence: group[1:] for group in groups}
        for group in groups:
            self._engine.add(group[0].sequence)
        while self._engine.busy:
            for said in self._engine.step():
                one = written[said.sequence]
                assert said.logprob is not None
                one.logps.append(said.logprob.logprob)
                one.take(one.reply.push(said.token, said.logprob, said.sequence.finish))
                for follower in followers.pop(said.sequence, ()):
                    self._engine.add(follower.sequence)
        return groups

    def _group(self, row: Json, seed: int, count: int, weights: str) -> list[Written]:
        asked = {key: row[key] for key in ("messages", "tools") if row.get(key)}
        body = {**asked, **self._body, "n": count, "seed": seed, "logprobs": True}
        request = read(body, self._chat, self._grammars, self._engine.context)
        return [
            Written(
                TokenSequence(
                    request.prompt,
                    wish,
                    eos_ids=self._chat.eos_ids,
                    owner=weights,
                    slot=self._slot,
                    guide=request.guide(self._grammars),
                ),
                Reply(self._chat, index, request.stops, request.tools, request.called),
            )
            for index, wish in enumerate(request.choices)
        ]
