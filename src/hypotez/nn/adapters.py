"""LoRA adapters from and to PEFT's files: adapter_config.json and adapter_model.safetensors. Knows no training."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hypotez.errors import InvalidRequest, StorageError
from hypotez.nn.decoder import Decoder
from hypotez.nn.linear import Linear
from hypotez.nn.lora import Lora, attach, loras

_PREFIX = "base_model.model.model."
_REFUSED = {  # settings of PEFT that change the arithmetic; none of them is written by save_adapter
    "use_dora": "DoRA",
    "modules_to_save": "whole modules saved beside LoRA",
    "fan_in_fan_out": "transposed weights",
    "lora_bias": "biased LoRA",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "trained tokens",
}


def save_adapter(decoder: Decoder, slot: int, folder: str | Path, base: str, dtype: torch.dtype | None = None) -> None:
    """Write the slot's adapter; ``base`` is the name or folder of the model it belongs to, for PEFT to find."""
    folder, tensors, targets = Path(folder), {}, set()
    rank = max(lora.rank[slot] for lora in loras(decoder))
    if not rank:
        raise InvalidRequest(f"Slot {slot} is empty; there is no adapter to save.")
    for layer, name, a, b in _matrices(decoder, slot, rank):
        prefix = f"{_PREFIX}{layer}.{name}"
        tensors[f"{prefix}.lora_A.weight"] = a.to("cpu", dtype).contiguous().clone()
        tensors[f"{prefix}.lora_B.weight"] = b.to("cpu", dtype).contiguous().clone()
        targets.add(name.rpartition(".")[2])
    scale = next(lora.scale[slot] for lora in loras(decoder) if lora.rank[slot])
    alpha = scale * rank
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(targets),
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "init_lora_weights": True,
        "inference_mode": True,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    except (SafetensorError, OSError) as exc:
        raise StorageError(f"Could not write the adapter to {folder}: {exc}") from exc


@torch.no_grad()
def load_adapter(
    decoder: Decoder,
    slot: int,
    folder: str | Path,
    dtype: torch.dtype | None = None,
    slots: int = 1,
    kind: type[Lora] = Lora,
) -> None:
    """Put the adapter in ``folder`` into ``slot``; slots grow where its rank or its targets need it, or to ``slots``.

    Slots that are made for it are of this ``kind``, and have ``dtype`` (None: the weights').

    Raises ``InvalidRequest`` where the folder is not a LoRA adapter, or not one for this decoder.
    """
    config, tensors = _read(Path(folder))
    ranks = {name: t.shape[0] for name, t in tensors.items() if name.endswith(".lora_A.weight")}
    if not ranks:
        raise InvalidRequest(f"{folder} holds no LoRA matrices.")
    targets = sorted({name.split(".")[-3] for name in ranks})
    attach(decoder, max(ranks.values()), targets, max(slot + 1, slots), dtype, kind)
    for layer, linear in _by_layer(decoder):
        if (lora := linear.lora) is None:
            continue
        lora.rank[slot] = 0
        lora.changed()
        for p, (name, start, stop) in enumerate(lora.parts):
            prefix = f"{_PREFIX}{layer}.{name}"
            a, b = (tensors.pop(f"{prefix}.lora_{kind}.weight", None) for kind in "AB")
            if a is None or b is None:
                lora.put(slot, p, None, None)
                continue
            if a.shape[1] != linear.inputs or b.shape[0] != stop - start:
                raise InvalidRequest(
                    f"{folder} was made for another model: {layer}.{name} is {linear.inputs} -> {stop - start} here, "
                    f"{a.shape[1]} -> {b.shape[0]} there."
                )
            rank, scale = a.shape[0], _scale(config, f"model.{layer}.{name}", a.shape[0])
            ours = lora.scale[slot] if lora.rank[slot] else scale
            lora.put(slot, p, a, b if scale == ours else b * (scale / ours))  # they differ by PEFT's patterns
            lora.set_scale(slot, ours, max(rank, lora.rank[slot]))
    if tensors:
        raise InvalidRequest(f"{folder} has matrices that this model has no place for, such as {next(iter(tensors))}.")


def _matrices(decoder: Decoder, slot: int, rank: int) -> list[tuple[str, str, Tensor, Tensor]]:
    """(layer, part, A (rank, inputs), B (outputs, rank)) of everything the slot's adapter touches."""
    found = []
    for layer, linear in _by_layer(decoder):
        if (lora := linear.lora) is None or not lora.rank[slot]:
            continue
        for p, (name, _, _) in enumerate(lora.parts):
            a, b = lora.read(slot, p)
            if a.any():  # a part of the slot that this adapter does not use is zero
                found.append((layer, name, a[:rank], b[:, :rank]))
    return found


def _by_layer(decoder: Decoder) -> list[tuple[str, Linear]]:
    """Each wide matmul, and the layer that it is in (``layers.3``)."""
    each = len(decoder.linears) // len(decoder.layers)
    return [(f"layers.{i // each}", linear) for i, linear in enumerate(decoder.linears)]


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    alpha = config["lora_alpha"]
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = value
            break
    return float(alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as exc:
        raise InvalidRequest(f"{folder} is not a PEFT adapter (config and safetensors): {exc}") from exc
    if config.get("peft_type") != "LORA":
        raise InvalidRequest(f"{folder} is a {config.get('peft_type')} adapter; only LORA is built in.")
    for key, what in _REFUSED.items():
        if config.get(key):
            raise InvalidRequest(f"{folder} uses {what} ({key}), which is not built in.")
    if config.get("bias", "none") != "none":
        raise InvalidRequest(f"{folder} trains biases (bias={config['bias']}), which is not built in.")
    return config, tensors
