"""Rotary position embedding: frequencies for every scaling rule, and the rotation. Knows no model.

Sources: Su et al. 2021 (RoPE); Chen et al. 2023 (linear); Peng et al. 2023 (YaRN); Llama 3's wavelength rule;
Ding et al. 2024 (LongRoPE).
"""

import math
from typing import Any

import torch
from torch import Tensor

from hypotez.nn.config import DecoderConfig

_KNOWN = 1024  # positions in a table at least


class Rope:
    """cos and sin for positions, at one base. A plain object: its float32 table must not follow the model's dtype."""

    def __init__(self, config: DecoderConfig, theta: float, scaling: dict[str, Any] | None) -> None:
        self.rotary_dim = int(config.head_dim * config.rotary_fraction)
        with torch.device("cpu"):  # also where the model itself is laid out on the meta device
            frequencies, self.magnitude = _frequencies(theta, self.rotary_dim, scaling or {}, config.max_positions)
        self._frequencies = {torch.device("cpu"): frequencies}
        self._tables: dict[torch.dtype, tuple[Tensor, Tensor]] = {}  # for positions from 0 on

    @property
    def frequencies(self) -> Tensor:
        """Angle per position of each turned pair, (rotary_dim / 2,) in float32."""
        return self._frequencies[torch.device("cpu")]

    def __call__(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """positions (T,) -> cos and sin, each (T, 1, rotary_dim) in ``dtype``: both halves alike, but for the sign.

        The first half of sin is negative, so that a turn is ``x * cos + swapped halves of x * sin``.
        """
        if positions.device.type != "cpu":
            return self._computed(positions, dtype)
        try:
            return _rows(self._tables[dtype], positions)
        except (KeyError, IndexError):  # none yet, or farther than ever: to look first would take as long as this does
            known = max(_KNOWN, 1 << int(positions.max()).bit_length())
        with torch.inference_mode(False):  # or nobody could train with it outside of that mode
            self._tables[dtype] = self._computed(torch.arange(known), dtype)
        return _rows(self._tables[dtype], positions)

    def _computed(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        device = positions.device
        if device not in self._frequencies:
            self._frequencies[device] = self._frequencies[torch.device("cpu")].to(device)
        angles = positions[:, None].float() * self._frequencies[device]
        cos, sin = (angles.cos() * self.magnitude).to(dtype), (angles.sin() * self.magnitude).to(dtype)
        return torch.cat([cos, cos], -1)[:, None], torch.cat([-sin, sin], -1)[:, None]


def _rows(table: tuple[Tensor, Tensor], positions: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = table
    return cos.index_select(0, positions), sin.index_select(0, positions)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + half) of each head. x (T, H, Dh); dimensions beyond the rotary ones pass through."""
    size = cos.shape[-1]
    if size == x.shape[-1]:
        return torch.addcmul(x * cos, x.roll(size // 2, -1), sin)
    return torch.cat([rotate(x[..., :size], cos, sin), x[..., size:]], dim=-1)


def _frequencies(theta: float, dim: int, scaling: dict[str, Any], limit: int) -> tuple[Tensor, float]:
    """Angles per position (dim / 2,) in float32, and the factor on cos and sin."""
    plain = 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    match scaling.get("rope_type"):
        case "linear":
            return plain / scaling["factor"], 1.0
        case "llama3":
            return _llama3(plain, scaling), 1.0
        case "yarn":
            return _yarn(plain, theta, dim, scaling, limit)
        case "longrope":
            return _longrope(plain, scaling, limit)
        case _:
            return plain, 1.0


def _llama3(plain: Tensor, scaling: dict[str, Any]) -> Tensor:
    """Slow waves are stretched, fast ones kept, those between blended."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = plain * (scaling["original_max_position_embeddings"] / (2 * math.pi))  # of each wave in that length
    share = ((turns - low) / (high - low)).clamp(0, 1)
    blended: Tensor = plain / scaling["factor"] * (1 - share) + plain * share
    return blended


def _yarn(plain: Tensor, theta: float, dim: int, scaling: dict[str, Any], limit: int) -> tuple[Tensor, float]:
    original = scaling.get("original_max_position_embeddings") or limit
    factor = scaling.get("factor") or limit / original

    def dimension(turns: float) -> float:
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(scaling.get("beta_fast") or 32), dimension(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = (torch.arange(dim // 2, dtype=torch.float32) - low) / (max(high - low, 0.001))
    stretched = ramp.clamp(0, 1)
    return plain / factor * stretched + plain * (1 - stretched), _yarn_magnitude(factor, scaling)


def _yarn_magnitude(factor: float, scaling: dict[str, Any]) -> float:
    if (given := scaling.get("attention_factor")) is not None:
        return float(given)

    def magnitude(scale: float) -> float:
        return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0

    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return magnitude(scaling["mscale"]) / magnitude(scaling["mscale_all_dim"])
    return magnitude(1.0)


def _longrope(plain: Tensor, scaling: dict[str, Any], limit: int) -> tuple[Tensor, float]:
    """The long factors where the context is longer than the original one.

    transformers switches between the short and the long ones by the length of the call, which changes the cached
    keys' meaning half way; vLLM and we choose once, by the context the model is configured for.
    """
    original = scaling.get("original_max_position_embeddings") or limit
    factors = torch.tensor(scaling["long_factor" if limit > original else "short_factor"], dtype=torch.float32)
    if (given := scaling.get("attention_factor")) is not None:
        return plain / factors, float(given)
    ratio = limit / original
    return plain / factors, math.sqrt(1 + math.log(ratio) / math.log(original)) if ratio > 1 else 1.0
