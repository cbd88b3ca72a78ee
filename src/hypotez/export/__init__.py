"""A model out of the house: PEFT adapter, merged safetensors, GGUF. Knows no HTTP, no SQL and no name of a model.

Each takes the base (a folder, or a repository on Hugging Face), the adapter's folder or None, and where to write:

    write_peft(base, adapter, Path("shop-adapter"))
    write_merged(base, adapter, Path("shop"))
    write_gguf(base, adapter, Path("shop.gguf"), "q8_0")

What is written appears in one rename, whole or not at all; what is there already is never overwritten.
"""

from hypotez.export.folders import write_merged, write_peft
from hypotez.export.gguf import write_gguf

TYPES = ("auto", "f32", "f16", "bf16", "q8_0")
"""How weights may be kept; ``auto`` is as the base has them. Only GGUF knows ``q8_0``."""

__all__ = ["TYPES", "write_gguf", "write_merged", "write_peft"]
