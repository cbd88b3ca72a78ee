"""A decoder's weights as llama.cpp wants them: its names, its order of rotated pairs, its Gemma norms.

In some architectures llama.cpp turns neighbours (2i, 2i + 1), where Hugging Face and we turn (i, i + half): the rows
of q and k are put in its order, which leaves every score as it was. Gemma's norms are stored with their 1 added. What
its graph cannot express (another scale of the scores) is folded into the weights that lead there.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder
from hypotez.nn.linear import Linear
from hypotez.nn.load import names
from hypotez.nn.lora import merged
from hypotez.nn.rope import Rope

NEIGHBOURS = {"llama", "smollm3"}  # architectures that turn (2i, 2i + 1)
_BY_HEIGHT = {"gemma2": 46, "gemma3": 62}  # layers at which llama.cpp scales scores by the hidden size per head


@dataclass(frozen=True, slots=True)
class Piece:
    """One tensor of the file, made when it is written: a large model is never in memory twice."""

    name: str  # llama.cpp's
    shape: tuple[int, ...]
    read: Callable[[], Tensor]  # float32, the adapter merged


def pieces(decoder: Decoder, slot: int, arch: str, name_map: Any) -> Iterator[Piece]:
    """Every tensor of the file in order. ``name_map`` is the ``gguf`` package's for this architecture."""
    config = decoder.config
    for ours, theirs in names(decoder).items():
        path, _, kind = ours.rpartition(".")
        module = decoder.get_submodule(path)
        sizes = [size for _, size in module.parts] if isinstance(module, Linear) else [len(getattr(module, kind))]
        start = 0
        for name, size in zip(theirs, sizes, strict=True):
            stored = getattr(module, kind)
            yield Piece(
                name_map.get_name(name.removesuffix(f".{kind}")) + f".{kind}",
                (size, *stored.shape[1:]),
                _reader(config, arch, name, module, kind, slot, start, start + size),
            )
            start += size
    yield from _rope_pieces(config, arch)


def _reader(
    config: DecoderConfig, arch: str, name: str, module: torch.nn.Module, kind: str, slot: int, start: int, stop: int
) -> Callable[[], Tensor]:
    def read() -> Tensor:
        lora = isinstance(module, Linear) and kind == "weight"
        whole = merged(module, slot) if lora else getattr(module, kind).detach().float()  # type: ignore[arg-type]
        return arranged(config, arch, name, whole[start:stop])

    return read


def arranged(config: DecoderConfig, arch: str, name: str, tensor: Tensor) -> Tensor:
    """One of Hugging Face's tensors as llama.cpp's graph for ``arch`` reads it."""
    part = name.split(".")[-2]
    if part in ("q_proj", "k_proj") and arch in NEIGHBOURS:
        tensor = neighbours(tensor, config.heads if part == "q_proj" else config.kv_heads)
    if config.traits.gemma:
        if part.endswith("norm"):
            tensor = tensor + 1
        if part == ("q_norm" if config.traits.qk_norm else "q_proj"):
            tensor = tensor * _score_scale(config, arch)
    return tensor


def neighbours(tensor: Tensor, heads: int) -> Tensor:
    """Rows of each head from (i, i + half) to (2i, 2i + 1). tensor (heads * Dh, ...) -> the same shape."""
    halves = tensor.view(heads, 2, -1, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _score_scale(config: DecoderConfig, arch: str) -> float:
    """What llama.cpp's own choice of scale leaves to be done: it knows Gemma's sizes by their number of layers."""
    by_height = _BY_HEIGHT.get(arch) == config.layers
    theirs = config.hidden_size // config.heads if by_height else config.head_dim
    return math.sqrt(theirs / config.query_scale) if config.query_scale else 1.0


def _rope_pieces(config: DecoderConfig, arch: str) -> Iterator[Piece]:
    """Frequencies that llama.cpp has no rule for: Llama 3's, LongRoPE's."""
    scaling = config.rope_scaling or {}
    match scaling.get("rope_type"):
        case "llama3" if arch == "llama":
            yield _vector("rope_freqs.weight", llama3_factors(config))
        case "longrope":
            for key, name in (("long_factor", "rope_factors_long"), ("short_factor", "rope_factors_short")):
                yield _vector(f"{name}.weight", torch.tensor(scaling[key], dtype=torch.float32))


def _vector(name: str, values: Tensor) -> Piece:
    return Piece(name, tuple(values.shape), lambda: values)


def llama3_factors(config: DecoderConfig) -> Tensor:
    """What each plain frequency is divided by, (Dh / 2,)."""
    plain = Rope(config, config.rope_theta, None).frequencies
    return plain / Rope(config, config.rope_theta, config.rope_scaling).frequencies
