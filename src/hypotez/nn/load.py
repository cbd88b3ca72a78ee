"""Decoders from and to Hugging Face folders: config.json, model.safetensors (or shards and their index). No network
but in ``find``, which asks the Hugging Face hub for a repository's files.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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
    with torch.device("meta"), _Undrawn():
        decoder = Decoder(config)
    files = _files(folder)
    for ours, theirs in names(decoder).items():
        if lacking := [name for name in theirs if name not in files]:
            raise InvalidRequest(f"{folder}: the weights lack {lacking[0]}, which config.json calls for.")
        _assign(decoder, ours, _tensor(files, theirs, dtype, device), trainable, folder)
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


class _Undrawn(TorchFunctionMode):
    """Draws no normal numbers. On the meta device there is nothing to draw, and yet torch imports its compiler for it:
    75 MB, and a second of every start.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return kwargs["tensor"] if func is nn.init.normal_ else func(*args, **(kwargs or {}))


def _files(folder: Path) -> dict[str, Path]:
    """Where each tensor lies."""
    index = folder / "model.safetensors.index.json"
    parts = sorted(set(_read_json(index)["weight_map"].values())) if index.exists() else ["model.safetensors"]
    found: dict[str, Path] = {}
    for path in (folder / part for part in parts):
        with _opened(path) as file:
            found |= dict.fromkeys(file.keys(), path)
    return found


def _tensor(files: dict[str, Path], pieces: list[str], dtype: torch.dtype | None, device: torch.device | str) -> Tensor:
    """Stored tensors, one under the other.

    A file is opened anew for each and the result is a copy: what was read of a mapped file stays in memory until
    nobody has it open, and would be there beside the weights.
    """
    with contextlib.ExitStack() as stack:
        opened = {path: stack.enter_context(_opened(path)) for path in {files[name] for name in pieces}}
        read = [opened[files[name]].get_tensor(name).to(device, dtype) for name in pieces]
        return read[0].clone() if len(read) == 1 else torch.cat(read)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (FileNotFoundError, SafetensorError) as exc:
        raise InvalidRequest(f"{path} cannot be read as safetensors: {_first_line(exc)}") from exc


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
