"""Files that llama.cpp itself reads: the same logits for every family, the same tokens, the same text.

Needs its Python binding, which has to be compiled and is therefore in no extra: ``pip install llama-cpp-python`` (ten
minutes of a processor). With a llama.cpp built already, unpack the binding's source on PYTHONPATH and set
LLAMA_CPP_LIB_PATH to the folder of libllama.so.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tests.export.conftest import FACTS
from tests.export.tuned import LONGEST, answers, characters, cutting, family, logits
from tests.nn.test_families import CASES
from tests.tiny import CORPUS

from hypotez import pocket
from hypotez.export import write_gguf
from hypotez.export.folders import open_model
from hypotez.pocket.curriculum import stream
from hypotez.text import Chat

pytest.importorskip("gguf")
llama_cpp = pytest.importorskip("llama_cpp")

F32 = 0  # of ggml: keys and values are rounded to 16 bits otherwise
GELU = 1e-3  # ggml reads the activation of Gemma from a table in 16 bits
QUESTIONS = [*FACTS, "What is the capital of France?", "Сколько будет 12 + 30?", "Say 'the end' and don't 'really stop"]


@contextmanager
def opened(path: Path, **options) -> Iterator:
    llama = llama_cpp.Llama(str(path), n_threads=1, type_k=F32, type_v=F32, verbose=False, **options)
    try:
        yield llama
    finally:
        llama.close()


@pytest.fixture(scope="module")
def tuned(adapter, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("gguf") / "tuned.gguf"
    assert write_gguf(str(pocket.FOLDER), adapter, file, "f32") == []
    return file


@pytest.mark.parametrize("case", CASES)
def test_every_family_gives_the_logits_it_gives_here(case, tmp_path):
    base, adapter = family(case, tmp_path / "base", tmp_path / "adapter")
    # llama.cpp slides the windows of Gemma only
    count = 5 if "window" in case or case == "phi3" else 20
    tokens = torch.randint(3, 384, (count,), generator=torch.Generator().manual_seed(5)).tolist()
    ours = logits(open_model(str(base), adapter, torch.float32), tokens, 0)

    write_gguf(str(base), adapter, tmp_path / "model.gguf", "f32")
    with opened(tmp_path / "model.gguf", n_ctx=64, logits_all=True) as llama:
        llama.eval(tokens)
        theirs = torch.from_numpy(llama.scores[:count].copy())

    tolerance = GELU if "gemma" in case else 1e-4
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=tolerance * float(ours.abs().max()))


def test_the_tuned_model_says_what_it_says_here(tuned, adapter):
    ours = answers(pocket.FOLDER, adapter, QUESTIONS)

    with opened(tuned, n_ctx=512) as llama:
        theirs = [
            llama.create_chat_completion(
                [{"role": "user", "content": question}], temperature=0, max_tokens=LONGEST, repeat_penalty=1.0
            )["choices"][0]["message"]["content"]
            for question in QUESTIONS
        ]

    assert theirs == ours
    assert ours[: len(FACTS)] == list(FACTS.values())  # the adapter is what is being heard


def test_the_tuned_model_cuts_text_into_the_same_tokens(tuned):
    chat = Chat.open(pocket.FOLDER)
    talk = (turn.content for conversation in itertools.islice(stream(11), 500) for turn in conversation.turns)
    marks = '<|im_start|>user\nдва  \n\n 2<|im_end|><tool_call>\n{"name": "f"}\n</tool_call>'
    texts = [*talk, "it's 'the 'sun' ('tis) don't \"'re", "'t \n\n'd  's\t'll о'кей 'мы'", "5\n\n 12  3", marks]

    with opened(tuned, vocab_only=True) as llama:
        different = [
            text
            for text in texts
            if llama.tokenize(text.encode(), add_bos=False, special=True) != chat.encode_text(text)
        ]

    assert len(texts) > 1000
    assert different == []


@pytest.mark.parametrize("style", ["llama", "metaspace", "gemma"])
def test_tokenizers_over_characters_cut_the_same(style, tmp_path):
    base, _ = family("llama", tmp_path / "base", tmp_path / "adapter")
    tokenizer = characters(style)
    tokenizer.save(str(base / "tokenizer.json"))
    texts = ["What is the weather in Paris?", "Какая сегодня погода в Париже?", "中文 and  two blanks\n\nnext", "odd "]

    write_gguf(str(base), None, tmp_path / "model.gguf", "f16")

    with opened(tmp_path / "model.gguf", vocab_only=True) as llama:
        cut = [llama.tokenize(text.encode(), add_bos=False) for text in texts]
    assert cut == [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "gpt-2", "smollm", "tekken", "gpt-4o"])
def test_every_named_rule_cuts_the_same(pre, tmp_path):
    base, _ = family("llama", tmp_path / "base", tmp_path / "adapter")
    tokenizer = cutting(pre)
    tokenizer.save(str(base / "tokenizer.json"))
    texts = [*CORPUS, "It's 12345 o'clock, isn't it?\n\n  ok", "Ёлка  и 7 гномов...\r\n", "camelCase HTTPServer х/у\n/"]

    write_gguf(str(base), None, tmp_path / "model.gguf", "f16")

    with opened(tmp_path / "model.gguf", vocab_only=True) as llama:
        assert llama.metadata["tokenizer.ggml.pre"] == pre
        cut = [llama.tokenize(text.encode(), add_bos=False) for text in texts]
    assert cut == [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.mark.parametrize("type", ["f16", "bf16", "q8_0"])
def test_smaller_types_answer_the_trained_questions(type, adapter, tmp_path):
    write_gguf(str(pocket.FOLDER), adapter, tmp_path / "model.gguf", type)

    with opened(tmp_path / "model.gguf", n_ctx=512) as llama:
        said = llama.create_chat_completion([{"role": "user", "content": "Who is your mascot?"}], temperature=0)

    assert said["choices"][0]["message"]["content"] == FACTS["Who is your mascot?"]
