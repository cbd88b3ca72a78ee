"""A tiny model folder with a byte tokenizer, training files, and a journal that remembers."""

import json
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers

from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import save
from hypotez.progress import StepMetrics

QUESTIONS = ["open", "close", "price", "red", "blue", "cat", "dog", "sea", "sun", "tea", "milk", "snow"]


class Notebook:
    """A ``Journal`` that keeps everything, and asks to stop after ``stop_after`` steps."""

    def __init__(self, stop_after: int | None = None, wish: str = "pause") -> None:
        self.events: list[str] = []
        self.told: list[dict] = []
        self.steps: dict[int, StepMetrics] = {}
        self.checkpoints: dict[int, Path] = {}
        self.resolved: dict = {}
        self.stop_after, self.wish = stop_after, wish

    def event(self, message, level="info", data=None):
        self.events.append(f"{level}: {message}")
        self.told += [data] if data else []

    def hyperparameters(self, resolved):
        self.resolved = resolved

    def metrics(self, told):
        self.steps[told.step] = told

    def checkpoint(self, folder, told):
        assert list(folder.glob("*model.safetensors"))
        self.checkpoints[told.step] = folder

    def wanted(self):
        return self.wish if self.stop_after is not None and max(self.steps) >= self.stop_after else "run"


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """Two layers, 64 wide, random."""
    folder = tmp_path_factory.mktemp("base")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}))
    decoder = Decoder(
        DecoderConfig(
            258, 64, 96, 2, 4, 2, 16, max_positions=256, eos_token_ids=(257,), tied=True, initializer_range=0.2
        )
    )
    decoder.reset(seed=0)
    save(decoder, folder)
    return folder


def conversation(question: str, answer: str, **more) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **more}


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def supervised_file(tmp_path) -> Path:
    return write(tmp_path / "train.jsonl", [conversation(q, f"{q[::-1]}!") for q in QUESTIONS])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
