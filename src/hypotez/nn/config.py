"""What a decoder looks like: one value per architecture, read from Hugging Face's ``config.json`` and written back.

The families differ little, and all they differ in is in ``FAMILIES`` and the fields of ``DecoderConfig``.
Knows nothing about tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypotez.errors import InvalidRequest

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """What ``config.json`` leaves unsaid, because transformers' class for the family knows it."""

    architecture: str
    qkv_bias: bool = False  # the default of ``attention_bias`` where the file is silent
    output_bias: bool = True  # whether ``attention_bias`` covers the output projection
    qk_norm: bool = False
    fused: bool = False  # the files hold qkv_proj and gate_up_proj in one piece
    gemma: bool = False  # norms scale by (1 + weight), embeddings by sqrt(hidden), norms after each block too
    tied: bool = False


FAMILIES: dict[str, Family] = {
    "llama": Family("LlamaForCausalLM"),
    "mistral": Family("MistralForCausalLM"),
    "qwen2": Family("Qwen2ForCausalLM", qkv_bias=True, output_bias=False),
    "qwen3": Family("Qwen3ForCausalLM", qk_norm=True),
    "smollm3": Family("SmolLM3ForCausalLM", tied=True),
    "gemma2": Family("Gemma2ForCausalLM", gemma=True, tied=True),
    "gemma3_text": Family("Gemma3ForCausalLM", gemma=True, qk_norm=True, tied=True),
    "phi3": Family("Phi3ForCausalLM", fused=True),
}

_ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_tanh": "gelu_tanh"}


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of one decoder. Per-layer fields left empty mean the same for every layer (full attention, rotated)."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    family: str = "llama"
    max_positions: int = 2048  # tokens
    norm_eps: float = 1e-6
    activation: str = "silu"  # or gelu_tanh
    tied: bool = False  # logits through the embedding matrix
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    rope_theta: float = 10_000.0
    rope_scaling: Json | None = None  # Hugging Face's dictionary with ``rope_type``; None is plain RoPE
    rotary_fraction: float = 1.0  # how much of each head is rotated
    local_rope_theta: float | None = None  # Gemma 3: layers with a window rotate at their own base
    windows: tuple[int | None, ...] = ()  # per layer, how many positions back it sees, itself included; None is all
    rotated: tuple[bool, ...] = ()  # per layer, whether it has RoPE at all (SmolLM3 leaves it out in every fourth)
    query_scale: float | None = None  # scores are divided by sqrt of this instead of sqrt(head_dim)
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    initializer_range: float = 0.02
    extra: Json = field(default_factory=dict, compare=False)  # what else the file said, kept for ``to_hf``

    def __post_init__(self) -> None:
        for name in ("windows", "rotated"):
            value = getattr(self, name)
            if value and len(value) != self.layers:
                raise InvalidRequest(f"{name} has {len(value)} entries for {self.layers} layers; give one for each.")
        if self.heads % self.kv_heads:
            raise InvalidRequest(f"{self.heads} heads cannot share {self.kv_heads} key-value heads evenly.")
        if not self.windows:
            object.__setattr__(self, "windows", (None,) * self.layers)
        if not self.rotated:
            object.__setattr__(self, "rotated", (True,) * self.layers)

    @property
    def traits(self) -> Family:
        return FAMILIES[self.family]

    @property
    def parameters(self) -> int:
        """How many numbers the weights hold, biases and norms left out (they are under 0.1 %)."""
        attention = self.hidden_size * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        block = attention + 3 * self.hidden_size * self.intermediate_size
        return self.layers * block + self.vocab_size * self.hidden_size * (1 if self.tied else 2)

    def to_hf(self) -> Json:
        """The dictionary for ``config.json``; ``from_hf`` of it gives this config again."""
        family, window = self.traits, next((w for w in self.windows if w), None)
        rope: Json = {"rope_theta": self.rope_theta, "rope_scaling": self.rope_scaling}
        if self.local_rope_theta is not None:
            rope["rope_local_base_freq"] = self.local_rope_theta
        body: Json = {
            **self.extra,
            "architectures": [family.architecture],
            "model_type": self.family,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.max_positions,
            "rms_norm_eps": self.norm_eps,
            "tie_word_embeddings": self.tied,
            "attention_bias": self.qkv_bias,
            "mlp_bias": self.mlp_bias,
            "sliding_window": window,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_token_ids[0] if len(self.eos_token_ids) == 1 else list(self.eos_token_ids) or None,
            "initializer_range": self.initializer_range,
            **rope,
        }
        body["hidden_activation" if family.gemma else "hidden_act"] = (
            "gelu_pytorch_tanh" if self.activation == "gelu_tanh" else self.activation
        )
        if self.rotary_fraction != 1.0:
            body["partial_rotary_factor"] = self.rotary_fraction
        if self.family not in ("llama", "mistral", "phi3"):
            body["layer_types"] = ["sliding_attention" if w else "full_attention" for w in self.windows]
            body["use_sliding_window"] = window is not None
        if self.family == "smollm3":
            body["no_rope_layers"] = [int(r) for r in self.rotated]
        if family.gemma:
            body |= {
                "query_pre_attn_scalar": self.query_scale,
                "attn_logit_softcapping": self.attention_softcap,
                "final_logit_softcapping": self.logit_softcap,
            }
        return body


def is_built_in(config: Mapping[str, Any]) -> bool:
    """Whether the decoder is meant for a ``config.json``: its family is known, and it reads text only."""
    return config.get("model_type") in FAMILIES and "vision_config" not in config


def from_hf(config: Mapping[str, Any]) -> DecoderConfig:
    """Read a Hugging Face ``config.json`` (transformers 4 and 5 spell RoPE differently; both are read).

    Raises ``InvalidRequest`` for an architecture outside ``FAMILIES`` or a feature the decoder has not got.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise InvalidRequest(
            f"Models of type '{kind}' are not built in (built in: {', '.join(FAMILIES)}).",
            hint="It can be asked, through transformers (pip install 'hypotez[transformers]'), but not trained here.",
        )
    family, layers, heads = FAMILIES[kind], config["num_hidden_layers"], config["num_attention_heads"]
    activation = config.get("hidden_activation") or config.get("hidden_act") or "silu"
    if activation not in _ACTIVATIONS:
        raise InvalidRequest(f"The activation '{activation}' is not built in (built in: {', '.join(_ACTIVATIONS)}).")
    bias, eos = config.get("attention_bias"), config.get("eos_token_id")
    bias = family.qkv_bias if bias is None else bool(bias)
    known = {
        "torch_dtype", "dtype", "pad_token_id", "use_cache", "attention_dropout", "original_max_position_embeddings",
    }  # fmt: skip
    return DecoderConfig(
        family=kind,
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        layers=layers,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        max_positions=config.get("max_position_embeddings", 2048),
        norm_eps=config.get("rms_norm_eps", 1e-6),
        activation=_ACTIVATIONS[activation],
        tied=config.get("tie_word_embeddings", family.tied),
        qkv_bias=bias,
        output_bias=bias and family.output_bias,
        mlp_bias=bool(config.get("mlp_bias", False)),
        **_rope(config),
        windows=_windows(config, layers),
        rotated=_rotated(config, layers),
        query_scale=config.get("query_pre_attn_scalar"),
        attention_softcap=config.get("attn_logit_softcapping"),
        logit_softcap=config.get("final_logit_softcapping"),
        bos_token_id=config.get("bos_token_id"),
        eos_token_ids=() if eos is None else tuple(eos) if isinstance(eos, list) else (eos,),
        initializer_range=config.get("initializer_range", 0.02),
        extra={key: value for key, value in config.items() if key in known},
    )


def _rope(config: Mapping[str, Any]) -> Json:
    """``rope_theta`` and ``rope_scaling`` of transformers 4, ``rope_parameters`` of 5 (per layer type in Gemma 3)."""
    theta, local = config.get("rope_theta"), config.get("rope_local_base_freq")
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if "full_attention" in scaling:
        local = scaling["sliding_attention"]["rope_theta"]
        scaling = scaling["full_attention"]
    scaling = dict(scaling)
    theta = scaling.pop("rope_theta", theta) or 10_000.0
    fraction = scaling.pop("partial_rotary_factor", None) or config.get("partial_rotary_factor") or 1.0
    kind = scaling.pop("rope_type", None) or scaling.pop("type", None) or "default"
    scaling.pop("type", None)
    if kind not in ("default", "linear", "llama3", "yarn", "longrope"):
        raise InvalidRequest(
            f"RoPE scaling of type '{kind}' is not built in (built in: linear, llama3, yarn, longrope)."
        )
    if kind == "longrope":  # its original length stands beside, not inside, the dictionary
        scaling.setdefault("original_max_position_embeddings", config.get("original_max_position_embeddings"))
    return {
        "rope_theta": float(theta),
        "rope_scaling": None if kind == "default" else {"rope_type": kind, **scaling},
        "rotary_fraction": float(fraction),
        "local_rope_theta": local if config["model_type"] == "gemma3_text" else None,
    }


def _windows(config: Mapping[str, Any], layers: int) -> tuple[int | None, ...]:
    """Which layers see only the last ``sliding_window`` positions."""
    window, kinds = config.get("sliding_window"), config.get("layer_types")
    if not window or config.get("use_sliding_window") is False:
        return (None,) * layers
    if kinds:
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)
    match config["model_type"]:
        case "gemma2":
            return tuple(None if i % 2 else window for i in range(layers))
        case "gemma3_text":
            every = config.get("sliding_window_pattern") or config.get("_sliding_window_pattern") or 6
            return tuple(window if (i + 1) % every else None for i in range(layers))
        case "qwen2" | "qwen3":  # the first layers see everything; without the switch none slides
            if not config.get("use_sliding_window"):
                return (None,) * layers
            return tuple(window if i >= config.get("max_window_layers", 28) else None for i in range(layers))
        case "mistral" | "phi3":
            return (window,) * layers
        case _:
            return (None,) * layers


def _rotated(config: Mapping[str, Any], layers: int) -> tuple[bool, ...]:
    """SmolLM3's list has 1 where RoPE is used, whatever its name says."""
    if config["model_type"] != "smollm3":
        return (True,) * layers
    listed, every = config.get("no_rope_layers"), config.get("no_rope_layer_interval", 4)
    return tuple(bool(r) for r in listed) if listed else tuple((i + 1) % every != 0 for i in range(layers))
