"""The decoder: the Llama family top to bottom, its attention, its LoRA layers, its files. No HTTP and no SQL."""
