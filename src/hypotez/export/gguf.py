"""One GGUF file with everything llama.cpp needs: weights, shape, vocabulary, special tokens, chat template."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypotez.errors import InvalidRequest, MissingExtra
from hypotez.export.draft import draft
from hypotez.export.folders import DTYPES, open_model
from hypotez.export.gguf_config import architecture, metadata, notes
from hypotez.export.gguf_tokens import Vocabulary, special_ids, vocabulary
from hypotez.export.gguf_weights import Piece, pieces
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import find
from hypotez.text import Chat

_TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}


def write_gguf(base: str, adapter: Path | None, to: Path, type: str = "auto", name: str | None = None) -> list[str]:
    """Write the model, its adapter merged in float32, and return what llama.cpp will do otherwise than we.

    ``type`` is that of the matrices; vectors stay in float32. ``name`` is what the file says it holds.

    Raises ``MissingExtra`` without the ``gguf`` package, ``InvalidRequest`` for what llama.cpp cannot run.
    """
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtra("export", "Writing GGUF files (the gguf package)")
    import gguf

    folder = find(base)
    decoder = open_model(base, adapter, torch.float32 if type == "f32" else None)
    chosen = next(t for t, d in DTYPES.items() if d == decoder.dtype) if type == "auto" else type
    if chosen not in _TYPES:
        raise InvalidRequest(f"GGUF cannot be '{type}' here; choose auto, {', '.join(_TYPES)}.", param="type")
    config = decoder.config
    arch = architecture(config)
    with draft(to) as path:
        writer = gguf.GGUFWriter(path, arch)
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(name or folder.name)
        writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[chosen]])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        metadata(writer, config, arch, gguf)
        chat = Chat.open(folder)
        _tokenizer(writer, vocabulary(folder, config.vocab_size), special_ids(folder, sorted(chat.eos_ids)))
        _templates(writer, chat)
        _weights(writer, decoder, arch, gguf.GGMLQuantizationType[_TYPES[chosen]], gguf)
        writer.close()
    return notes(config, arch)


def _tokenizer(writer: Any, words: Vocabulary, special: dict[str, int]) -> None:
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    if words.scores:
        writer.add_token_scores(words.scores)
    if words.merges and words.model == "gpt2":
        writer.add_token_merges(words.merges)
    writer.add_add_space_prefix(words.space_prefix)
    for kind, id in special.items():
        getattr(writer, f"add_{kind}_token_id")(id)
    writer.add_add_bos_token(words.starts)
    writer.add_add_eos_token(words.ends)


def _templates(writer: Any, chat: Chat) -> None:
    default, for_tools = chat.template.source, chat.tool_template.source
    templates = [{"name": "default", "template": default}]
    if for_tools != default:
        templates.append({"name": "tool_use", "template": for_tools})
    writer.add_chat_template(templates if len(templates) > 1 else default)


def _weights(writer: Any, decoder: Decoder, arch: str, dtype: Any, gguf: Any) -> None:
    """First what there will be, then one tensor after the other."""
    kind = {ours: theirs for theirs, ours in gguf.MODEL_ARCH_NAMES.items()}[arch]
    found = list(pieces(decoder, 0, arch, gguf.get_tensor_name_map(kind, decoder.config.layers)))
    kinds = [_kept_as(piece, dtype, gguf) for piece in found]
    for piece, kept in zip(found, kinds, strict=True):
        block, size = gguf.GGML_QUANT_SIZES[kept]
        writer.add_tensor_info(
            piece.name, piece.shape, np.dtype("float32"), math.prod(piece.shape) // block * size, raw_dtype=kept
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for piece, kept in zip(found, kinds, strict=True):
        writer.write_tensor_data(gguf.quants.quantize(piece.read().contiguous().numpy(), kept))


def _kept_as(piece: Piece, dtype: Any, gguf: Any) -> Any:
    """Vectors in float32; rows that no block divides in float16, as llama.cpp's own quantizer does."""
    kinds = gguf.GGMLQuantizationType
    if len(piece.shape) == 1:
        return kinds.F32
    return kinds.F16 if piece.shape[-1] % gguf.GGML_QUANT_SIZES[dtype][0] else dtype
