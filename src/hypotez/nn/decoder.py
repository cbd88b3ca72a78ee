"""The decoder, top to bottom: Llama, Mistral, Qwen2, Qwen3, SmolLM, Gemma 2 and 3, Phi-3 by one table of differences.

Ragged: the tokens of many sequences lie end to end, each with its position, and nothing is padded. Who attends to
whom, and where keys and values are kept, is the business of the ``Attend`` it is called with. The same decoder serves
(``engine``) and trains (``training``). Knows no files, no text and no sampling.
"""

import math
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypotez.nn.config import DecoderConfig
from hypotez.nn.fused import rms_norm, split_rotated, swiglu
from hypotez.nn.linear import Linear
from hypotez.nn.rope import Rope, rotate
from hypotez.nn.rows import Rows

if TYPE_CHECKING:
    from hypotez.nn.kept import Kept
    from hypotez.nn.packed import Product
    from hypotez.nn.stack import Stack


class Attend(Protocol):
    """Causal attention over whatever it remembers; scores are scaled by ``Dh ** -0.5``."""

    @property
    def kept(self) -> "Kept | None":
        """Where compiled loops find all that it remembers; None where they cannot."""
        ...

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh), rotated already -> (T, H, Dh)."""
        ...


Angles = tuple[Tensor, Tensor]


class Decoder(nn.Module):
    """tokens and positions -> hidden states -> logits. New ones are ready to be pretrained (normal, 0.02)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = Norm(config)
        self.lm_head = None if config.tied else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.head: Product | None = None  # the logits' weight, once ``packed.pack`` has laid it out for serving
        self.stack: Stack | None = None  # the layers as one call, where ``packed.pack`` could make them one
        self._embedding_scale = math.sqrt(config.hidden_size) if config.traits.gemma else None
        self.linears = [linear for block in self.layers for linear in block.linears]  # type: ignore[union-attr]
        self._rope = Rope(config, config.rope_theta, config.rope_scaling)
        self._local_rope = Rope(config, config.local_rope_theta, None) if config.local_rope_theta else None
        self.reset()

    @torch.no_grad()
    def reset(self, seed: int | None = None) -> None:
        """Draw fresh weights; those that write to the residual stream smaller, so that depth costs no scale (GPT-2)."""
        generator = torch.Generator(self.device).manual_seed(seed) if seed is not None else None
        std = self.config.initializer_range
        for name, parameter in self.named_parameters():
            if parameter.is_meta:
                continue
            if parameter.dim() > 1:
                into_stream = name.endswith(("o_proj.weight", "down_proj.weight"))
                parameter.normal_(
                    0, std / math.sqrt(2 * self.config.layers) if into_stream else std, generator=generator
                )
            else:
                parameter.fill_(0.0 if name.endswith("bias") or self.config.traits.gemma else 1.0)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        attend: Attend,
        slots: Tensor | int | Rows | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """tokens (T,), positions (T,) -> hidden states (T, D) after the last norm.

        ``slots`` says which LoRA slot each row uses: (T,) with -1 for none, one int for all rows, None for no adapter,
        or what was made of it.
        With ``wanted`` (N,) the result is those rows', (N, D); it is for rows of one slot, as in training.
        """
        x = self.embed_tokens(tokens)
        if self._embedding_scale is not None:
            x = x * torch.tensor(self._embedding_scale, dtype=x.dtype)
        angles = self._rope(positions, x.dtype)
        local = self._local_rope(positions, x.dtype) if self._local_rope is not None else angles
        rows = slots if isinstance(slots, Rows) else Rows.of(slots)
        if self.stack is not None and attend.kept is not None and self.stack.takes(attend.kept, rows):
            x = self.stack(x, angles, attend.kept, rows)
        else:
            for layer, block in enumerate(self.layers):
                last = layer == self.config.layers - 1
                x = block(x, local if self.config.windows[layer] else angles, attend, rows, wanted if last else None)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (N, D) -> (N, V). Call it with the rows that are needed: the vocabulary is wide."""
        if self.head is not None:
            logits = self.head(hidden, None, None)
        else:
            logits = F.linear(hidden, self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight)
        if (cap := self.config.logit_softcap) is not None:
            logits = torch.tanh(logits / cap) * cap
        return logits

    @property
    def device(self) -> torch.device:
        return self.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embed_tokens.weight.dtype


class Block(nn.Module):
    """Attention and MLP, each on the normed stream and added to it; Gemma norms their results as well."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        gemma = config.traits.gemma
        self.input_layernorm = Norm(config)
        self.attention = Attention(config, layer)
        self.post_attention_layernorm = Norm(config)
        self.pre_feedforward_layernorm = Norm(config) if gemma else None
        self.mlp = Mlp(config)
        self.post_feedforward_layernorm = Norm(config) if gemma else None

    @property
    def linears(self) -> list[Linear]:
        """Its wide matmuls."""
        return [self.attention.qkv_proj, self.attention.o_proj, self.mlp.gate_up_proj, self.mlp.down_proj]

    def forward(
        self, x: Tensor, angles: Angles, attend: Attend, rows: Rows | None, wanted: Tensor | None = None
    ) -> Tensor:
        """x (T, D) -> (T, D), or (N, D) where only some rows are ``wanted``: the others end as keys and values."""
        seen: Tensor = self.attention(self.input_layernorm(x), angles, attend, rows)
        if wanted is not None:
            assert rows is None or rows.slot is not None, "each row's own slot would have to be picked out, too"
            x, seen = x.index_select(0, wanted), seen.index_select(0, wanted)
        if self.pre_feedforward_layernorm is None or self.post_feedforward_layernorm is None:
            x = self.attention.o_proj(seen, rows, x)
            out: Tensor = self.mlp(self.post_attention_layernorm(x), rows, x)
        else:
            x = x + self.post_attention_layernorm(self.attention.o_proj(seen, rows))
            out = x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x), rows))
        return out


class Attention(nn.Module):
    """q, k and v in one matmul, rotated, handed to ``attend``. The block calls the output projection."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.heads, self.kv_heads, self.head_dim = layer, config.heads, config.kv_heads, config.head_dim
        queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
        qkv = [("self_attn.q_proj", queries), ("self_attn.k_proj", keys), ("self_attn.v_proj", keys)]
        if config.traits.fused:
            qkv = [("self_attn.qkv_proj", queries + 2 * keys)]
        self.qkv_proj = Linear(config.hidden_size, qkv, config.qkv_bias)
        self.o_proj = Linear(queries, [("self_attn.o_proj", config.hidden_size)], config.output_bias)
        self.q_norm = Norm(config, config.head_dim) if config.traits.qk_norm else None
        self.k_norm = Norm(config, config.head_dim) if config.traits.qk_norm else None
        self.rotated = config.rotated[layer]
        # ``attend`` divides by sqrt(head_dim); a family with another scale gets the difference here
        self.rescale = math.sqrt(config.head_dim / config.query_scale) if config.query_scale else 1.0

    def forward(self, x: Tensor, angles: Angles, attend: Attend, rows: Rows | None) -> Tensor:
        """x (T, D) -> what every row has seen, (T, H * Dh)."""
        h, kv = self.heads, self.kv_heads
        qkv = self.qkv_proj(x, rows).view(-1, h + 2 * kv, self.head_dim)
        if self.q_norm is None and self.rotated:
            q, k, v = split_rotated(qkv, h, *angles)
        else:
            q, k, v = qkv[:, :h], qkv[:, h : h + kv], qkv[:, h + kv :]
            if self.q_norm is not None and self.k_norm is not None:
                q, k = self.q_norm(q), self.k_norm(k)
            if self.rotated:
                q, k = rotate(q, *angles), rotate(k, *angles)
        if self.rescale != 1.0:
            q = q * self.rescale
        return attend(self.layer, q, k, v).reshape(-1, h * self.head_dim)


class Mlp(nn.Module):
    """The gated unit: gate and up in one matmul."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        inner = config.intermediate_size
        gate_up = [("mlp.gate_proj", inner), ("mlp.up_proj", inner)]
        if config.traits.fused:
            gate_up = [("mlp.gate_up_proj", 2 * inner)]
        self.gate_up_proj = Linear(config.hidden_size, gate_up, config.mlp_bias)
        self.down_proj = Linear(inner, [("mlp.down_proj", config.hidden_size)], config.mlp_bias)
        self.silu = config.activation == "silu"

    def forward(self, x: Tensor, rows: Rows | None, residual: Tensor | None = None) -> Tensor:
        gate_up = self.gate_up_proj(x, rows)
        if self.silu:
            inner = swiglu(gate_up)
        else:
            gate, up = gate_up.chunk(2, dim=-1)
            inner = F.gelu(gate, approximate="tanh") * up
        out: Tensor = self.down_proj(inner, rows, residual)
        return out


class Norm(nn.Module):
    """Root mean square norm over the last dimension; Gemma keeps the weight less one and multiplies before rounding."""

    def __init__(self, config: DecoderConfig, size: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size or config.hidden_size))
        self.eps, self.gemma = config.norm_eps, config.traits.gemma

    def forward(self, x: Tensor) -> Tensor:
        if self.gemma:
            return F.rms_norm(x.float(), self.weight.shape, 1.0 + self.weight.float(), self.eps).to(x.dtype)
        return rms_norm(x, self.weight, self.eps)
