"""`python -m hypotez.pocket.train`: facts -> text -> tokenizer -> pretraining -> evaluation -> card.

Needs the extra `pocket` (`pip install 'hypotez[local,pocket]'`). On two CPU cores the committed model took an hour.
"""

import argparse
import datetime
import json
import time
from pathlib import Path

import tokenizers
import torch

from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import load, save
from hypotez.pocket import FOLDER, batches, card, curriculum, evaluate, pretrain, tokenizer

CONTEXT = 1024


def config(alphabet: tokenizers.Tokenizer) -> DecoderConfig:
    """Nine million parameters: as wide as two cores can feed with every fact some two hundred times in an hour."""
    return DecoderConfig(
        vocab_size=alphabet.get_vocab_size(),
        hidden_size=320,
        intermediate_size=896,
        layers=6,
        heads=5,
        kv_heads=5,
        head_dim=64,
        max_positions=CONTEXT,
        tied=True,
        eos_token_ids=(tokenizer.token(alphabet, tokenizer.END),),
    )


def main() -> None:
    """Parse the command line and run the recipe."""
    parser = argparse.ArgumentParser(prog="python -m hypotez.pocket.train", description="Train the built-in model.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3000, help="optimizer steps, when no end is given")
    parser.add_argument("--until", help="end by this time of day in UTC, HH:MM, whatever the number of steps")
    parser.add_argument("--work", type=Path, default=Path("pocket-run"), help="folder for the log and the checkpoint")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the model")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--sample", type=int, default=60_000, help="conversations the tokenizer is trained on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--export", action="store_true", help="only write and evaluate the model of the work folder's checkpoint"
    )
    parser.add_argument("--notes", default="", help="a sentence for the card")
    run(parser.parse_args())


def run(options: argparse.Namespace) -> None:
    """The recipe, step by step; a work folder that holds a checkpoint is gone on with."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "tokenizer.json"
    if not path.exists():
        tokenizer.train(options.seed, options.sample, options.vocabulary).save(str(path))
    alphabet = tokenizers.Tokenizer.from_file(str(path))
    decoder = Decoder(config(alphabet))
    decoder.reset(options.seed)
    decoder.to(torch.bfloat16)
    if options.export:
        done = _from_checkpoint(decoder, options.work)
    else:
        clock = pretrain.Clock(options.steps, _timestamp(options.until) if options.until else None)
        begin = options.seed + int(time.time()) if (options.work / "checkpoint.pt").exists() else options.seed
        source = batches.examples(curriculum.stream(begin, lambda: clock.share), alphabet, batches.LENGTHS[-1])
        pad = tokenizer.token(alphabet, tokenizer.OUT)
        done = pretrain.pretrain(
            decoder, batches.batches(source, pad, options.seed), clock, options.work, options.threads
        )
    save(decoder, options.out, torch.bfloat16)
    tokenizer.save(alphabet, options.out, CONTEXT)
    served = load(options.out, torch.float32)  # what users get, not what the training loop holds
    table = evaluate.accuracy(served, alphabet, per_lesson=100)
    (options.work / "accuracy.json").write_text(json.dumps(table, ensure_ascii=False, indent=1))
    card.write(options.out.parent / "CARD.md", served.config, done, table, options.seed, options.notes)


def _from_checkpoint(decoder: Decoder, work: Path) -> dict[str, float]:
    state = torch.load(work / "checkpoint.pt", weights_only=False)
    pretrain.Masters(decoder).restore(state)
    return {"steps": state["step"], "tokens": state["tokens"], "seconds": state["seconds"]}


def _timestamp(clock: str) -> float:
    hour, minute = map(int, clock.split(":"))
    now = datetime.datetime.now(datetime.UTC)
    end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (end if end > now else end + datetime.timedelta(days=1)).timestamp()


if __name__ == "__main__":
    main()
