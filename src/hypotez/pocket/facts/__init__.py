"""What the built-in model is taught: plain tables, in English and Russian. They know nothing of wordings or tensors."""
