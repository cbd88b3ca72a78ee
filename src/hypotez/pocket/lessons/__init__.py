"""From facts to conversations: one module per kind of question. They know nothing of tokens or tensors."""
