"""One reply being written: what was asked, what has been computed, what has been said. No torch."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypotez.engine.guide import Guide


class Finish(StrEnum):
    """Why a reply ended, in the wire's words."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The defaults are OpenAI's."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: no limit
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: int | None = None  # how many alternatives to report beside the chosen token; None: no logprobs
    max_tokens: int = 16
    seed: int | None = None
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token, logprob), most likely first


class Sequence:
    """``tokens`` grow at the end; the first ``computed`` of them have keys and values in ``blocks``."""

    def __init__(
        self,
        prompt: list[int],
        sampling: Sampling,
        *,
        eos_ids: frozenset[int] = frozenset(),
        owner: str = "",
        slot: int = -1,
        guide: "Guide | None" = None,
    ) -> None:
        self.prompt_length = len(prompt)
        self.tokens = list(prompt)
        self.sampling = sampling
        self.eos_ids = eos_ids
        self.owner = owner  # which adapter's keys and values these are
        self.slot = slot  # where that adapter lies; -1 is the base model
        self.guide = guide
        self.computed = 0
        self.cached = 0  # prompt tokens that came from the prefix cache
        self.admitted_at: float | None = None  # when it first was, as ``time.perf_counter`` says
        self.admitted = False  # the scheduler has given it a place in the batch
        self.blocks: list[int] = []
        self.digests: list[bytes] = []
        self.finish: Finish | None = None
        # Choices of one seed differ only by what the caller mixed into it; no seed means no promise.
        self.dice = random.Random(sampling.seed)
        self.said: Counter[int] = Counter()  # for the penalties, counted only where one is set

    @property
    def output(self) -> list[int]:
        return self.tokens[self.prompt_length :]

    @property
    def prefilling(self) -> bool:
        """More than the newest token is still to be computed."""
        return self.computed < len(self.tokens) - 1

    @property
    def penalised(self) -> bool:
        return bool(self.sampling.presence_penalty or self.sampling.frequency_penalty)

    @property
    def greedy(self) -> bool:
        """The likeliest token and nothing else is wanted of the logits."""
        wish = self.sampling
        return wish.temperature == 0 and wish.logprobs is None and not wish.logit_bias and not self.penalised

    def append(self, token: int) -> None:
        """Take the chosen token and notice whether it is the last."""
        self.tokens.append(token)
        if self.penalised:
            self.said[token] += 1
        if token in self.eos_ids and not self.sampling.ignore_eos:
            self.finish = Finish.STOP
        elif len(self.tokens) - self.prompt_length >= self.sampling.max_tokens:
            self.finish = Finish.LENGTH
