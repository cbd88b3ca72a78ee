"""The recipe: its text, its batches, its loop, on a scale of seconds."""

import csv
import itertools
import random
from pathlib import Path

import pytest
import torch
from tests.tiny import serving_decoder

from hypotez.nn.attention import plain
from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import load
from hypotez.nn.packed import pack
from hypotez.pocket import FOLDER, batches, curriculum, evaluate, pretrain, tokenizer
from hypotez.pocket.conversation import Conversation, Pen, Turn, expand, normalised, segments, split
from hypotez.pocket.lessons import arithmetic, geography, service
from hypotez.text import Chat

EXAMPLES = Path(__file__).parents[2] / "examples"


def conversations(count: int, seed: int = 3) -> list[Conversation]:
    return list(itertools.islice(curriculum.stream(seed), count))


def test_one_seed_writes_one_text():
    assert conversations(200) == conversations(200)
    assert conversations(200) != conversations(200, seed=4)


def test_no_sentence_of_the_demo_is_in_the_training_text():
    demo = set()
    for path in EXAMPLES.glob("shop*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            demo |= {normalised(cell) for row in list(csv.reader(file))[1:] for cell in row}

    said = {normalised(turn.content) for c in conversations(20_000) for turn in c.turns}

    assert len(demo) > 200
    assert not demo & said


def test_held_out_wordings_are_never_written_for_training():
    pen = Pen(random.Random(0))
    templates = geography.CAPITAL["en"]

    kept = {expand(t, random.Random(i)) for t in split(templates, True) for i in range(20)}
    written = {expand(t, random.Random(i)) for t in split(templates, False) for i in range(40)}

    assert kept
    assert not kept & written
    assert pen.wording(templates, x="France")


def test_held_out_sums_are_never_asked_in_training():
    train, held_out = Pen(random.Random(0)), Pen(random.Random(0), held_out=True)

    asked = {arithmetic.draw(train, "+") for _ in range(5000)}
    kept = {arithmetic.draw(held_out, "+") for _ in range(500)}

    assert kept
    assert not asked & kept


@pytest.mark.parametrize(
    ("op", "a", "b", "worked"),
    [
        ("+", 47, 38, "47 + 38 = 70 + 15 = 85"),
        ("+", 7, 8, "7 + 8 = 15"),
        ("-", 85, 38, "85 - 38 = 55 - 8 = 47"),
        ("*", 23, 4, "23 × 4 = 80 + 12 = 92"),
        ("/", 56, 8, "56 / 8 = 7"),
    ],
)
def test_sums_show_their_steps(op, a, b, worked):
    assert arithmetic.steps(op, a, b) == worked


def test_the_text_is_what_the_chat_template_makes_of_the_messages():
    chat = Chat.open(FOLDER)
    some = [c for c in conversations(400) if c.cut is None and not any("<tool_call>" in t.content for t in c.turns)]

    for conversation in some:
        messages = [{"role": t.role, "content": t.content} for t in conversation.turns]
        assert "".join(text for text, _ in segments(conversation)) == chat.template.render(messages, generate=False)


def test_a_tool_is_called_in_the_form_the_server_reads():
    chat = Chat.open(FOLDER)
    called = next(c for c in conversations(3000) if c.tools and c.turns[-1].content.startswith("<tool_call>"))
    messages = [{"role": t.role, "content": t.content} for t in called.turns[:-1]]

    rendered = chat.template.render(messages, list(called.tools), generate=True)

    assert "".join(text for text, _ in segments(called)).startswith(rendered)


def test_only_replies_are_learned():
    conversation = Conversation("", "en", (Turn("user", "Hi"), Turn("assistant", "Hello!")), "Hello")

    learned = "".join(text for text, flag in segments(conversation) if flag)

    assert learned == "Hello!<|im_end|>"


def test_tokens_give_the_text_back_and_digits_stand_alone():
    alphabet = tokenizer.train(seed=1, conversations=300, vocabulary=600)
    text = "What is 1234 + 5? Столица Франции — Париж. N'Djamena"

    ids = alphabet.encode(text).ids

    assert alphabet.decode(ids) == text
    assert {"1", "2", "3", "4"} <= set(alphabet.encode(text).tokens)


def test_attention_by_groups_equals_the_plain_one():
    groups, lengths = [(2, 5), (3, 4)], [5, 5, 4, 4, 4]
    q, k, v = torch.randn(3, sum(lengths), 2, 8)

    torch.testing.assert_close(batches.Groups(groups, torch.float32)(0, q, k, v), plain(q, k, v, lengths))


def small() -> tuple[Decoder, list[batches.Batch]]:
    alphabet = tokenizer.train(seed=1, conversations=300, vocabulary=600)
    decoder = Decoder(DecoderConfig(alphabet.get_vocab_size(), 64, 96, 2, 2, 2, 32, tied=True))
    decoder.reset(1)
    examples = batches.examples(curriculum.stream(1), alphabet, batches.LENGTHS[-1])
    return decoder.to(torch.bfloat16), list(itertools.islice(batches.batches(examples, 0, 1), pretrain.PARTS))


def test_the_loop_learns_a_batch_and_goes_on_from_its_checkpoint(tmp_path):
    decoder, some = small()

    short = pretrain.pretrain(decoder, itertools.cycle(some), pretrain.Clock(6, None), tmp_path)
    longer = pretrain.pretrain(decoder, itertools.cycle(some), pretrain.Clock(30, None), tmp_path)

    assert short["steps"] == 6
    assert longer["steps"] == 30
    assert longer["loss"] < 0.8 * short["loss"]


def test_the_evaluation_counts_a_reply_only_when_every_token_is_right():
    decoder, alphabet = load(FOLDER, torch.float32), Chat.open(FOLDER).tokenizer
    paris, rome = (
        Conversation("capital", "en", (Turn("user", "What is the capital of France?"), Turn("assistant", reply)), city)
        for city, reply in (("Paris", "The capital of France is Paris."), ("Rome", "The capital of France is Rome."))
    )

    assert evaluate.right(decoder, alphabet, [rome, paris, rome]) == [False, True, False]


def test_held_out_accuracy_is_what_the_card_says():
    decoder, alphabet = load(FOLDER, torch.float32), Chat.open(FOLDER).tokenizer
    card = {
        cells[1].strip(" *"): float(cells[2].strip(" *").split(" ")[0])
        for line in (FOLDER.parent / "CARD.md").read_text(encoding="utf-8").splitlines()
        if (cells := line.split("|"))[1:] and " % of " in line
    }

    table = evaluate.accuracy(decoder, alphabet, per_lesson=6)

    hits, asked = (sum(cells["en"][i] for cells in table.values() if "en" in cells) for i in (0, 1))
    assert 100 * hits / asked > card["all"] - 10


def test_every_service_topic_has_facts_and_wordings():
    for language in ("en", "ru"):
        for topic, facts, questions in service.intents(language):
            assert facts, topic
            assert len(questions) >= 6, topic


def test_a_model_laid_out_for_serving_answers_a_batch_as_before():
    decoder = serving_decoder(torch.bfloat16, vocab_size=96, intermediate_size=96, layers=2, kv_heads=4)
    groups = [(2, 7), (1, 9)]
    tokens, positions = torch.arange(23) % 96, torch.cat([torch.arange(n) for n in (7, 7, 9)])
    with torch.no_grad():
        expected = decoder(tokens, positions, batches.Groups(groups, torch.bfloat16))
        pack(decoder)

        found = decoder(tokens, positions, batches.Groups(groups, torch.bfloat16))

    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
