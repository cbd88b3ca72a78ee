"""The built-in model: its weights, its card, and the recipe that made it. Importing this imports nothing heavy."""

from pathlib import Path

FOLDER = Path(__file__).parent / "model"
"""The model's folder in Hugging Face's layout: config.json, model.safetensors, tokenizer.json, chat template."""
