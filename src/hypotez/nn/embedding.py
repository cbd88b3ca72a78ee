"""One copy of a tied embedding for both of its uses: the logits' product in its own order, and rows looked up in it.

Two copies would be a fifth of all weights in a model of 135M. Our own panels hold four bytes of each of their rows in
turn. oneDNN does not say where a row lies; for float32 on AVX-512 it is in columns of 64 rows, likewise. Whether that
holds is seen by comparing all rows with the original, and where it does not both copies stay.
"""

import ctypes

import torch
from torch import Tensor, nn

from hypotez.nn.decoder import Decoder
from hypotez.nn.fused import compiled
from hypotez.nn.packed import Panels, Product, Reordered

_COLUMNS = (64, 48, 32, 16)  # rows side by side


class SharedEmbedding(nn.Module):
    """tokens (T,) -> rows (T, D) of a weight that ``head`` multiplies by."""

    def __init__(self, head: Product, lanes: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, dtype=dtype), requires_grad=False)  # tells dtype and device
        self._head = head  # whose memory ``lanes`` is
        self._lanes = lanes  # (columns, D * itemsize / 4, rows of a column)

    def forward(self, tokens: Tensor) -> Tensor:
        if (kernels := compiled(self.weight)) is not None:
            rows: Tensor = kernels.lookup(self._lanes, tokens)
        else:
            size = self._lanes.shape[-1]
            rows = self._lanes[tokens // size, :, tokens % size]
        return rows.view(self.weight.dtype)


@torch.no_grad()
def share_embedding(decoder: Decoder) -> None:
    """Let a packed decoder look its tokens up where its logits come from; nothing where they are apart or rounded."""
    weight, head = decoder.embed_tokens.weight, decoder.head
    if decoder.lm_head is not None or head is None:
        return
    lanes = _lanes(head, weight)
    if lanes is not None:
        decoder.embed_tokens = SharedEmbedding(head, lanes, weight.dtype)  # type: ignore[assignment]


def _lanes(head: Product, weight: Tensor) -> Tensor | None:
    """The packed weight as (columns, D * itemsize / 4, rows of a column), if that is how it lies."""
    if isinstance(head, Panels):
        return head.weight if head.scale is None else None
    if not isinstance(head, Reordered):
        return None
    size = torch.ops.mkldnn._nbytes(head._weight)
    if size != weight.nbytes or weight.shape[1] * weight.itemsize % 4:
        return None
    memory = (ctypes.c_char * size).from_address(torch.ops.mkldnn.data_ptr(head._weight))
    flat, rows = torch.frombuffer(memory, dtype=torch.int32), weight.view(torch.int32)
    for columns in _COLUMNS:
        if len(rows) % columns == 0:
            lanes = flat.view(-1, rows.shape[1], columns)
            if torch.equal(lanes.transpose(1, 2), rows.view(-1, columns, rows.shape[1])):
                return lanes
    return None
