"""One wide matmul that stands for several of Hugging Face's linear layers. Knows their names, not what they mean."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from hypotez.nn.lora import Lora
    from hypotez.nn.packed import Product
    from hypotez.nn.rows import Rows


class Linear(nn.Module):
    """``parts`` are (name, outputs) in the order they lie in the result: q, k and v side by side, or one alone.

    The names are Hugging Face's, relative to the decoder layer (``self_attn.q_proj``). ``lora`` is None until
    ``lora.attach`` puts adapters beside the weight; without adapters, or with ``rows`` None, it costs nothing.
    """

    def __init__(self, inputs: int, parts: list[tuple[str, int]], bias: bool = False) -> None:
        super().__init__()
        self.inputs, self.parts = inputs, tuple(parts)
        self.outputs = sum(size for _, size in parts)
        self.weight = nn.Parameter(torch.empty(self.outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(self.outputs)) if bias else None
        self.lora: Lora | None = None
        self.product: Product | None = None  # once ``packed.pack`` has laid the weight out for serving

    def forward(self, x: Tensor, rows: "Rows | None" = None, residual: Tensor | None = None) -> Tensor:
        """x (T, inputs) -> (T, outputs), with ``residual`` (T, outputs) added."""
        if self.lora is not None and rows is not None and rows.slot is not None and torch.is_grad_enabled():
            trained: Tensor = self.lora(x, self, rows.slot, residual)
            return trained
        out = self.multiply(x, residual)
        if self.lora is not None and rows is not None:
            self.lora.add(out, x, rows)
        return out

    def multiply(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """What ``forward`` does, without adapters."""
        if self.product is not None:
            return self.product(x, self.bias, residual)
        out = F.linear(x, self.weight, self.bias)
        return out if residual is None else residual + out

    def extra_repr(self) -> str:
        return f"{self.inputs} -> {', '.join(f'{name} {size}' for name, size in self.parts)}"
