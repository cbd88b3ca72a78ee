"""Decoders from and to Hugging Face folders: config.json, model.safetensors (or shards and their index). No network
but in ``find``, which asks the Hugging Face hub for a repository's files.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hypotez.errors import InvalidRequest, ModelNotFound, StorageError
from hypotez.nn.config import from_hf
from hypotez.nn.decoder import Decoder
from hypotez.nn.linear import Linear

PATTERNS = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt")  # what ``find`` downloads


def find(name: str) -> Path:
    """The folder of a model: ``name`` itself, or the hub's repository of that name (downloaded once, then cached)."""
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelNotFound(name, hint=f"'{name}' is neither a folder nor a repository 'owner/name' on Hugging Face.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(PATTERNS)))
    except RepositoryNotFoundError as exc:
        raise ModelNotFound(
            name, hint="No such repository on Hugging Face, or it is gated: accept its terms and set HF_TOKEN."
        ) from exc
    except (LocalEntryNotFoundError, OSError) as exc:
        raise ModelNotFound(
            name, hint=f"It is not in the cache, and huggingface.co cannot be reached ({_first_line(exc)})."
        ) from exc


def load(
    folder: str | Path, dtype: torch.dtype | None = None, device: torch.device | str = "cpu", trainable: bool = False
) -> Decoder:
    """The decoder in ``folder``, in ``dtype`` (None: as stored). Weights take gradients only where ``trainable``."""
    folder = Path(folder)
    config = from_hf(_read_json(folder / "config.json"))
    with torch.device("meta"):
        decoder = Decoder(config)
    stored = {name: tensor.to(device, dtype) for name, tensor in _tensors(folder)}
    for ours, theirs in names(decoder).items():
        try:
            pieces = [stored.pop(name) for name in theirs]
        except KeyError as exc:
            raise InvalidRequest(f"{folder}: the weights lack {exc.args[0]}, which config.json calls for.") from None
        # A copy in any case: one tensor left in the mapped file would keep all of the file in memory.
        tensor = pieces[0].clone() if len(pieces) == 1 else torch.cat(pieces)
        _assign(decoder, ours, tensor, trainable, folder)
    return decoder


def save(decoder: Decoder, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write config.json and model.safetensors as transformers would (LoRA slots left out; ``lora.merge`` first)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parameters = dict(decoder.named_parameters())
    tensors: dict[str, Tensor] = {}
    sizes = {name: [size for _, size in m.parts] for name, m in decoder.named_modules() if isinstance(m, Linear)}
    for ours, theirs in names(decoder).items():
        tensor = parameters[ours].detach().to("cpu", dtype)
        pieces = torch.split(tensor, sizes[ours.rpartition(".")[0]]) if len(theirs) > 1 else (tensor,)
        tensors |= {name: piece.contiguous().clone() for name, piece in zip(theirs, pieces, strict=True)}
    stored = next(iter(tensors.values())).dtype
    config = decoder.config.to_hf() | {"torch_dtype": str(stored).removeprefix("torch.")}
    try:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    except (SafetensorError, OSError) as exc:
        raise StorageError(f"Could not write the model to {folder}: {_first_line(exc)}") from exc


def companions(folder: Path) -> list[Path]:
    """What lies beside the weights and belongs to the model: tokenizer, chat template, generation settings."""
    ours = {"config.json", "adapter_config.json", "training.json", "model.safetensors.index.json"}
    kinds = (".json", ".jinja", ".txt", ".model")
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in kinds and p.name not in ours)


def names(decoder: Decoder) -> dict[str, list[str]]:
    """Our parameter's name -> Hugging Face's, several where ours is their rows one under the other."""
    found = {}
    for path, module in decoder.named_modules():
        for kind in ("weight", "bias"):
            if not isinstance(getattr(module, kind, None), nn.Parameter):
                continue
            if isinstance(module, Linear):
                layer = ".".join(path.split(".")[:2])  # layers.3
                theirs = [f"model.{layer}.{part}.{kind}" for part, _ in module.parts]
            else:
                prefix = "" if path == "lm_head" else "model."
                theirs = [f"{prefix}{path.replace('.attention.', '.self_attn.')}.{kind}"]
            found[f"{path}.{kind}"] = theirs
    return found


def _assign(decoder: Decoder, name: str, tensor: Tensor, trainable: bool, folder: Path) -> None:
    path, _, kind = name.rpartition(".")
    module = decoder.get_submodule(path)
    wanted = getattr(module, kind)
    if tensor.shape != wanted.shape:
        raise InvalidRequest(
            f"{folder}: {name} has shape {list(tensor.shape)}, config.json calls for {list(wanted.shape)}."
        )
    setattr(module, kind, nn.Parameter(tensor, requires_grad=trainable))


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    index = folder / "model.safetensors.index.json"
    files = sorted(set(_read_json(index)["weight_map"].values())) if index.exists() else ["model.safetensors"]
    for file in files:
        try:
            with safe_open(folder / file, "pt") as shard:
                for name in shard.keys():  # noqa: SIM118 (not a dict)
                    yield name, shard.get_tensor(name)
        except (FileNotFoundError, SafetensorError) as exc:
            raise InvalidRequest(f"{folder / file} cannot be read as safetensors: {_first_line(exc)}") from exc


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise InvalidRequest(f"{path} is missing; a model folder has config.json and *.safetensors.") from None
    except ValueError as exc:
        raise InvalidRequest(f"{path} is not JSON: {exc}") from exc
    return value


def _first_line(exc: BaseException) -> str:
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__
