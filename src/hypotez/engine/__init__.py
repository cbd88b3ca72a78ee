"""The engine: token ids in, token ids out, many requests at once. No HTTP and no SQL."""
