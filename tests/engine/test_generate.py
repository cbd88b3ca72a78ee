"""Models that only transformers can run: a random GPT-2, and a random one that sees, through the server's own door."""

import asyncio
import base64
import io
import json
import sys

import pytest
import torch
import transformers
from PIL import Image
from tests.tiny import tokenizer_folder

from hypotez.embedded.local import LocalModels, Models, base_folders
from hypotez.errors import ImageError, MissingExtra
from hypotez.settings import Settings
from hypotez.store import Store

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    folder = tokenizer_folder(tmp_path_factory.mktemp("gpt2") / "odd")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=384, n_positions=256, n_embd=32, n_layer=2, n_head=2, eos_token_id=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    folder = tokenizer_folder(tmp_path_factory.mktemp("seeing") / "eyes", TEMPLATE)
    torch.manual_seed(0)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = transformers.LlamaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=tokenizer.convert_tokens_to_ids("<image>")
    )
    with torch.no_grad():
        model = transformers.LlavaForConditionalGeneration(config)
        for parameter in model.parameters():
            parameter *= 4
    model.save_pretrained(folder)
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    transformers.LlavaProcessor(
        pictures, tokenizer, patch_size=14, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def ask(folder, home, *bodies):
    """The chunks of each body, asked at once."""
    home.mkdir()
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    settings = Settings(home=home, engine={"model": str(folder), "dtype": "float32", "device": "cpu"})
    local = LocalModels(Models(store, base_folders(settings)), settings)

    async def one(body):
        return [chunk async for chunk in local.chat({"model": folder.name, "temperature": 0, **body})]

    async def run():
        try:
            return await asyncio.gather(*(one(body) for body in bodies))
        finally:
            await local.aclose()

    try:
        return asyncio.run(run())
    finally:
        store.close()


def text(chunks):
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_another_family_answers_as_generate_does(gpt2, tmp_path):
    messages = [{"role": "user", "content": "Hello"}]
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    plain, constrained, several = ask(
        gpt2,
        tmp_path / "home",
        {"messages": messages, "max_tokens": 12, "ignore_eos": True, "logprobs": True},
        {"messages": messages, "max_tokens": 60, "response_format": wanted},
        {"messages": messages, "max_tokens": 5, "n": 2, "temperature": 1.0, "ignore_eos": True},
    )

    from hypotez.text import Chat

    chat, model = Chat.open(gpt2), transformers.GPT2LMHeadModel.from_pretrained(gpt2)
    ids = torch.tensor([chat.encode(messages)])
    expected = model.generate(ids, max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=0)[
        0, ids.shape[1] :
    ]
    said = [entry for c in plain for choice in c["choices"] for entry in (choice["logprobs"] or {}).get("content", [])]
    assert [bytes(entry["bytes"]) for entry in said] == [chat.token_bytes[token] for token in expected.tolist()]
    assert plain[-1]["usage"] == {"prompt_tokens": ids.shape[1], "completion_tokens": 12,
                                  "total_tokens": ids.shape[1] + 12}  # fmt: skip
    assert json.loads(text(constrained))["a"] in ("x", "y")
    assert {choice["index"] for chunk in several for choice in chunk["choices"]} == {0, 1}


def picture(colour):
    raw = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(raw, "PNG")
    return f"data:image/png;base64,{base64.b64encode(raw.getvalue()).decode()}"


def looking(url):
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": parts}], "max_tokens": 16, "ignore_eos": True}


def test_a_model_that_sees_tells_pictures_apart(seeing, tmp_path):
    red, blue, again = ask(seeing, tmp_path / "home", *(looking(picture(c)) for c in ("red", "blue", "red")))

    assert text(red) == text(again)
    assert text(red) != text(blue)
    assert red[-1]["usage"]["completion_tokens"] == 16
    assert red[-1]["usage"]["prompt_tokens"] > 4  # the picture is tokens, too


def test_addresses_are_not_fetched_for_a_client(seeing, tmp_path):
    with pytest.raises(ImageError, match="data:"):
        ask(seeing, tmp_path / "home", looking("http://169.254.169.254/latest"))


def test_without_transformers_the_extra_is_named(gpt2, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(MissingExtra, match=r"hypotez\[transformers\]"):
        ask(gpt2, tmp_path / "home", {"messages": [{"role": "user", "content": "Hello"}]})
