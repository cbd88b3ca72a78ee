"""The layers of a packed decoder as one call: bfloat16, on a processor that multiplies it, without gradients.

For families that differ in biases, windows, norms of heads and what is rotated. Gemma, weights laid out otherwise and
other devices go layer by layer (``decoder.Block``), with the same loops and products. Knows no engine: it is told where
keys and values lie (``Kept``).
"""

from typing import Self

import numpy as np
import torch
from torch import Tensor

from hypotez.nn import kernels, tiles
from hypotez.nn.decoder import Angles, Block, Decoder
from hypotez.nn.kept import Kept
from hypotez.nn.linear import Linear
from hypotez.nn.lora import changes
from hypotez.nn.lora_eight import EightBitLora
from hypotez.nn.packed import Panels
from hypotez.nn.rows import Rows
from hypotez.nn.stack_loops import FIELDS, LORA_FIELDS, Rooms, Sizes

_NOBODY = np.empty(0, np.int32)  # the slots of rows without adapters


class Stack:
    """Holds addresses: the decoder that it is of must keep its weights where they are. ``of`` makes one."""

    def __init__(self, decoder: Decoder) -> None:
        self._config = config = decoder.config
        self._linears = decoder.linears
        weights = [
            _addresses(block, window)  # type: ignore[arg-type]
            for block, window in zip(decoder.layers, config.windows, strict=True)
        ]
        product = self._linears[0].product
        assert isinstance(product, Panels)
        self._kind = product.weight.dtype
        self._weights = np.array(weights, np.int64).reshape(len(weights), len(FIELDS))
        self._no_adapters = np.empty((0, 4, len(LORA_FIELDS)), np.int64)
        self._adapters, self._addable, self._as_of = self._no_adapters, True, -1
        self._room = torch.empty(0, dtype=torch.bfloat16)

    @classmethod
    def of(cls, decoder: Decoder) -> Self | None:
        """None for a decoder that is not of those families, or not in panels."""
        config = decoder.config
        apart = config.traits.gemma or config.local_rope_theta or config.query_scale or config.activation != "silu"
        if apart or config.head_dim % kernels.LANES or config.intermediate_size % tiles.COLUMNS:
            return None
        products = [linear.product for linear in decoder.linears]
        kinds = {product.weight.dtype if isinstance(product, Panels) else None for product in products}
        return cls(decoder) if len(kinds) == 1 and None not in kinds else None

    def takes(self, kept: Kept, rows: Rows | None) -> bool:
        """Whether keys and values lie as the loops want them, and the adapters, if any, are in eight bits."""
        if rows is None or not kept.paired:
            return kept.paired
        self._look()
        return rows.each is not None and self._addable

    def __call__(self, x: Tensor, angles: Angles, kept: Kept, rows: Rows | None) -> Tensor:
        """x (T, D) -> (T, D), before the last norm; x is overwritten. Keys and values are kept."""
        config, count = self._config, len(x)
        x = x.contiguous()
        turned = angles[0].shape[-1]
        kv, d, inner = config.kv_heads, config.head_dim, config.intermediate_size
        sizes = Sizes(count, config.hidden_size, config.heads, kv, d, turned, inner, self._kind.itemsize)
        widths = config.hidden_size, (config.heads + 2 * kv) * d, config.heads * d, 2 * inner, inner
        rooms = Rooms(x.data_ptr(), *self._rooms(count, widths), *(angle.data_ptr() for angle in angles))
        kernels.stack(
            self._kind,
            self._weights,
            kept,
            self._adapters if rows is not None else self._no_adapters,
            rows.each if rows is not None and rows.each is not None else _NOBODY,
            config.norm_eps,
            config.attention_softcap,
            rooms,
            sizes,
        )
        return x

    def _rooms(self, count: int, widths: tuple[int, ...]) -> list[int]:
        """Addresses of room for so many rows of each width, the same at every step: fresh pages cost time."""
        needed = count * sum(widths)
        if self._room.numel() < needed:
            self._room = torch.empty(needed, dtype=torch.bfloat16)
        starts = np.cumsum([0, *widths[:-1]]) * count * self._room.itemsize
        return [self._room.data_ptr() + int(start) for start in starts]

    def _look(self) -> None:
        """See where the adapters of each product lie, (layers, 4, LORA_FIELDS), unless they lie where they did."""
        if self._as_of == (now := changes()):
            return
        self._as_of = now
        nothing = (0,) * len(LORA_FIELDS)
        loras = [linear.lora for linear in self._linears]
        self._addable = all(lora is None or isinstance(lora, EightBitLora) for lora in loras)
        places = [lora.places() if isinstance(lora, EightBitLora) else nothing for lora in loras]
        self._adapters = np.array(places, np.int64).reshape(-1, 4, len(LORA_FIELDS))


def _addresses(block: Block, window: int | None) -> list[int]:
    """The layer's row of the table, in the order of ``FIELDS``."""
    attention = block.attention
    qkv, o, gate_up, down = (_product(linear) for linear in block.linears)
    norms = [0 if norm is None else norm.weight.data_ptr() for norm in (attention.q_norm, attention.k_norm)]
    return [
        *(block.input_layernorm.weight.data_ptr(), *qkv, *norms, *o),
        *(block.post_attention_layernorm.weight.data_ptr(), *gate_up, *down),
        *(int(attention.rotated), window or 0),
    ]


def _product(linear: Linear) -> tuple[int, ...]:
    """Addresses of the weight, of its scale and of the bias, 0 for none."""
    assert isinstance(linear.product, Panels)
    of = linear.product.weight, linear.product.scale, linear.bias
    return tuple(0 if tensor is None else tensor.data_ptr() for tensor in of)
