"""What llama.cpp is told about a decoder's shape, and what it cannot do of it. Knows no weights and no tokens."""

import math
from typing import Any

from hypotez.errors import InvalidRequest
from hypotez.nn.config import DecoderConfig
from hypotez.nn.rope import Rope

ARCHITECTURES = {  # ours -> llama.cpp's
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "smollm3": "smollm3",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
}
SLIDING = {"gemma2", "gemma3"}  # the only ones of these whose windows llama.cpp keeps to
UNCAPPED = 1e6  # Gemma 2 always caps in llama.cpp; this far up a cap changes nothing in float32


def architecture(config: DecoderConfig) -> str:
    """llama.cpp's name for the family. Raises ``InvalidRequest`` for what its graph leaves out."""
    arch = ARCHITECTURES[config.family]
    scaling = (config.rope_scaling or {}).get("rope_type")
    if arch == "smollm3" and any(bool((i + 1) % 4) != turned for i, turned in enumerate(config.rotated)):
        raise _refused("rotates other layers than three of every four (no_rope_layers)")
    if scaling == "llama3" and arch != "llama":
        raise _refused(f"scales RoPE by Llama 3's rule, which llama.cpp knows for Llama only, not for {config.family}")
    if scaling == "longrope" and arch not in ("llama", "phi3"):
        raise _refused("uses LongRoPE, which llama.cpp knows for Llama and Phi-3 only")
    if config.mlp_bias and arch != "llama":
        raise _refused("has biases in its MLP")
    return arch


def metadata(writer: Any, config: DecoderConfig, arch: str, gguf: Any) -> None:
    """Write the shape into the file's header. ``writer`` is a ``gguf.GGUFWriter``."""
    writer.add_context_length(config.max_positions)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _rope(writer, config, gguf)
    window = next((w for w in config.windows if w), None)
    if arch in SLIDING and window is not None:
        writer.add_sliding_window(window)
        writer.add_sliding_window_pattern([w is not None for w in config.windows])
        if config.local_rope_theta is not None:
            writer.add_rope_freq_base_swa(config.local_rope_theta)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attention_softcap or UNCAPPED)
        writer.add_final_logit_softcapping(config.logit_softcap or UNCAPPED)
    elif config.logit_softcap is not None:
        writer.add_final_logit_softcapping(config.logit_softcap)


def notes(config: DecoderConfig, arch: str) -> list[str]:
    """Where llama.cpp will answer otherwise than we do."""
    window = next((w for w in config.windows if w), None)
    if window is None or arch in SLIDING or window >= config.max_positions:
        return []
    return [
        f"llama.cpp has no sliding window for {arch}: past {window} tokens each token sees more than it was trained to."
    ]


def _rope(writer: Any, config: DecoderConfig, gguf: Any) -> None:
    scaling, kinds = config.rope_scaling or {}, gguf.RopeScalingType
    rope = Rope(config, config.rope_theta, config.rope_scaling)
    writer.add_rope_dimension_count(rope.rotary_dim)
    writer.add_rope_freq_base(config.rope_theta)
    original = scaling.get("original_max_position_embeddings")
    match scaling.get("rope_type"):
        case "linear":
            writer.add_rope_scaling_type(kinds.LINEAR)
            writer.add_rope_scaling_factor(scaling["factor"])
        case "yarn":
            original = original or config.max_positions
            factor = scaling.get("factor") or config.max_positions / original
            writer.add_rope_scaling_type(kinds.YARN)
            writer.add_rope_scaling_factor(factor)
            writer.add_rope_scaling_orig_ctx_len(original)
            writer.add_rope_scaling_yarn_beta_fast(float(scaling.get("beta_fast") or 32))
            writer.add_rope_scaling_yarn_beta_slow(float(scaling.get("beta_slow") or 1))
            # llama.cpp multiplies by YaRN's own magnitude and then by this
            writer.add_rope_scaling_attn_factors(rope.magnitude / (1 + 0.1 * math.log(factor)))
        case "longrope":
            writer.add_rope_scaling_type(kinds.LONGROPE)
            writer.add_rope_scaling_orig_ctx_len(original or config.max_positions)
            writer.add_rope_scaling_attn_factors(rope.magnitude)


def _refused(what: str) -> InvalidRequest:
    return InvalidRequest(f"llama.cpp cannot run this model: it {what}.", hint="Export it merged (--merged) instead.")
