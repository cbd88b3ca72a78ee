"""Folders that others load: an adapter for PEFT, merged weights for transformers, each with the tokenizer beside it."""

import json
import shutil
from pathlib import Path

import torch

from hypotez.errors import InvalidRequest
from hypotez.export.draft import draft
from hypotez.nn.adapters import load_adapter
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import companions, find, load, save
from hypotez.nn.lora import detach, merge

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def write_peft(base: str, adapter: Path | None, to: Path) -> None:
    """A folder for ``PeftModel.from_pretrained``: its config names ``base``, the weights are the trained ones."""
    if adapter is None:
        raise InvalidRequest(
            "This model has no adapter: it is a base, or all its weights were trained.",
            hint="Export it merged (--merged) or as GGUF (--gguf).",
        )
    with draft(to) as folder:
        folder.mkdir(parents=True)
        config = json.loads((adapter / "adapter_config.json").read_text()) | {"base_model_name_or_path": base}
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        shutil.copy(adapter / "adapter_model.safetensors", folder)
        _copy_companions(base, folder)


def write_merged(base: str, adapter: Path | None, to: Path, dtype: str = "auto") -> None:
    """A folder for ``AutoModelForCausalLM.from_pretrained``: base and adapter added up, in ``dtype``.

    The sum is made in float32 and rounded once; in 16 bits small updates may drown, ``f32`` keeps them all.
    """
    if dtype != "auto" and dtype not in DTYPES:
        raise InvalidRequest(f"Merged weights cannot be '{dtype}'; choose auto, {', '.join(DTYPES)}.", param="type")
    decoder = open_model(base, adapter, DTYPES.get(dtype))
    if adapter is not None:
        merge(decoder, 0)
        detach(decoder)
    with draft(to) as folder:
        save(decoder, folder)
        _copy_companions(base, folder)


def open_model(base: str, adapter: Path | None, dtype: torch.dtype | None) -> Decoder:
    """The base's decoder, in ``dtype`` (None: as stored), with the adapter in slot 0."""
    decoder = load(find(base), dtype)
    if adapter is not None:
        load_adapter(decoder, 0, adapter, torch.float32)
    return decoder


def _copy_companions(base: str, folder: Path) -> None:
    for path in companions(find(base)):
        shutil.copy(path, folder)
