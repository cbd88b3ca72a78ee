"""A Hugging Face tokenizer as llama.cpp's vocabulary. Reads ``tokenizer.json``; knows no weights and no ``gguf``.

llama.cpp has two kinds that concern us: ``gpt2``, byte-level BPE whose text is first cut by a rule with a name
(``tokenizer.ggml.pre``), and ``llama``, SentencePiece's BPE over characters with a score per token. A rule it does not
know is an error here, because a file with the wrong rule would answer, only worse.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from hypotez.errors import InvalidRequest

Json = dict[str, Any]


class Kind(IntEnum):
    """llama.cpp's kinds of tokens."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Vocabulary:
    model: str  # gpt2 or llama
    pre: str
    tokens: list[str]
    kinds: list[Kind]
    merges: list[str] = field(default_factory=list)  # gpt2
    scores: list[float] = field(default_factory=list)  # llama
    space_prefix: bool = False
    starts: bool = False  # a text begins with the bos token
    ends: bool = False  # and ends with the eos token


_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*")
_SLASHED = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
POCKET = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CUTS: dict[tuple[str, ...], str] = {  # how tokenizer.json cuts text -> llama.cpp's name for the same
    ("words",): "gpt-2",
    ("digits", "words"): "smollm",
    (f"{_SHORT}|{_WORDS}|\\p{{N}}{{1,3}}|{_REST}",): "llama-bpe",
    (f"{_SHORT}|{_WORDS}|\\p{{N}}|{_REST}",): "qwen2",
    (f"{_CASED[0]}|{_CASED[1]}|\\p{{N}}|{_SLASHED}",): "tekken",
    (f"{_CASED[0]}{_SHORT}?|{_CASED[1]}{_SHORT}?|\\p{{N}}{{1,3}}|{_SLASHED}",): "gpt-4o",
    # the built-in model's; see _apart for the apostrophe. Blanks are single tokens in it, so how many are cut off
    # together before a digit makes no difference.
    (POCKET,): "smollm",
}


def vocabulary(folder: Path, size: int) -> Vocabulary:
    """The folder's tokenizer, filled up to the ``size`` of the embedding matrix.

    Raises ``InvalidRequest`` for one that llama.cpp cannot follow.
    """
    given = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = given["model"]
    if model.get("type") != "BPE":
        raise _refused(f"is {model.get('type')}, not BPE")
    tokens, kinds = _tokens(given, size)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    starts, ends = _around(given, _read(folder / "tokenizer_config.json"))
    if model.get("byte_fallback"):
        return Vocabulary("llama", "default", *_characters(model, tokens, kinds), scores=_scores(tokens, merges),
                          space_prefix=_prefixed(given), starts=starts, ends=ends)  # fmt: skip
    cuts = _cuts(given)
    if cuts not in CUTS:
        raise _refused(f"cuts text by a rule that llama.cpp has no name for: {' then '.join(cuts) or 'none'}")
    if cuts == (POCKET,):
        _apart("'", tokens, kinds, merges)
    return Vocabulary("gpt2", CUTS[cuts], tokens, kinds, merges, starts=starts, ends=ends)


def special_ids(folder: Path, eos: Sequence[int]) -> dict[str, int]:
    """``bos``, ``eos``, ``unk``, ``pad`` as the folder names them; ``eot`` where a second token of ``eos`` ends one."""
    config, tokenizer = _read(folder / "tokenizer_config.json"), _read(folder / "tokenizer.json")
    named = _read(folder / "special_tokens_map.json") | config
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ids = tokenizer["model"]["vocab"] | ids
    found = {}
    for kind in ("bos", "eos", "unk", "pad"):
        token = named.get(f"{kind}_token")
        content = token["content"] if isinstance(token, dict) else token
        if content in ids:
            found[kind] = ids[content]
    if eos:
        found.setdefault("eos", eos[0])
    others = [token for token in eos if token != found.get("eos")]
    return found | ({"eot": others[0]} if others else {})


def _tokens(given: Json, size: int) -> tuple[list[str], list[Kind]]:
    """Every token's text and kind by id; what the tokenizer does not use is named and marked."""
    tokens = [f"[PAD{i}]" for i in range(size)]
    kinds = [Kind.UNUSED] * size
    for token, i in given["model"]["vocab"].items():
        if i < size:
            tokens[i], kinds[i] = token, Kind.NORMAL
    for added in given["added_tokens"]:
        if added["id"] < size:
            tokens[added["id"]] = added["content"]
            kinds[added["id"]] = Kind.CONTROL if added["special"] else Kind.USER_DEFINED
    return tokens, kinds


def _characters(model: Json, tokens: Sequence[str], kinds: Sequence[Kind]) -> tuple[list[str], list[Kind]]:
    """The kinds SentencePiece has beside: bytes, and the unknown token."""
    kinds = [_character_kind(model, token, kind) for token, kind in zip(tokens, kinds, strict=True)]
    # llama.cpp looks for these in the text as written, before blanks are replaced
    plain = [t.replace("▁", " ") if k is Kind.USER_DEFINED else t for t, k in zip(tokens, kinds, strict=True)]
    return plain, kinds


def _character_kind(model: Json, token: str, kind: Kind) -> Kind:
    if token == model.get("unk_token"):
        return Kind.UNKNOWN
    byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return Kind.BYTE if byte and kind is Kind.NORMAL else kind


def _scores(tokens: Sequence[str], merges: Sequence[str]) -> list[float]:
    """Less the later a token is merged: SentencePiece joins the pair that makes the highest score first."""
    rank: dict[str, int] = {}
    for i, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", ""), i)
    return [-float(rank.get(token, len(merges))) for token in tokens]


def _prefixed(given: Json) -> bool:
    """Whether a blank is put before the text."""
    steps = [*_steps(given.get("normalizer")), *_steps(given.get("pre_tokenizer"))]
    return any(
        step["type"] == "Prepend" or (step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never")
        for step in steps
    )


def _cuts(given: Json) -> tuple[str, ...]:
    """How the text is cut before BPE: the regular expressions, with ``digits`` and GPT-2's ``words`` by name."""
    cuts = []
    for step in _steps(given.get("pre_tokenizer")):
        match step["type"]:
            case "Split":
                cuts.append(step["pattern"].get("Regex") or step["pattern"].get("String", ""))
            case "Digits" if step.get("individual_digits"):
                cuts.append("digits")
            case "ByteLevel":
                cuts += ["words"] if step.get("use_regex", True) else []
                cuts += ["a blank before the text"] if step.get("add_prefix_space") else []
            case other:
                cuts.append(other)
    return tuple(cuts)


def _apart(character: str, tokens: Sequence[str], kinds: list[Kind], merges: Sequence[str]) -> None:
    """Let llama.cpp take ``character`` out of the text before its rule sees it.

    Its rule is ours but for one thing: it takes 't, 's and other English endings for pieces, and would cut 'the in two.
    A character that no merge contains is a token of its own wherever it stands, so taking it out first changes nothing.
    """
    if any(character in merge for merge in merges):
        raise _refused(f"joins {character} to other characters")
    kinds[tokens.index(character)] = Kind.USER_DEFINED


def _around(given: Json, config: Json) -> tuple[bool, bool]:
    """Whether plain text gets a bos before and an eos after it."""
    single: list[Json] = []
    for step in _steps(given.get("post_processor")):
        single = step.get("single", single) if step["type"] == "TemplateProcessing" else single
    starts = bool(single) and "SpecialToken" in single[0]
    ends = len(single) > 1 and "SpecialToken" in single[-1]
    return bool(config.get("add_bos_token", starts)), bool(config.get("add_eos_token", ends))


def _steps(part: Json | None) -> list[Json]:
    """A normalizer's, pre-tokenizer's or post-processor's steps, a sequence laid out flat."""
    if part is None:
        return []
    inner = part.get("normalizers") or part.get("pretokenizers") or part.get("processors")
    return [part] if inner is None else [step for one in inner for step in _steps(one)]


def _read(path: Path) -> Json:
    found: Json = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"llama.cpp cannot follow this model's tokenizer: it {why}.", hint="Export it merged (--merged) instead."
    )
