"""The local backend as the server sees it: wire dictionaries in, chunks out."""

import asyncio
import json

import jsonschema
import pytest
import torch

from hypotez.backend import Card, Source
from hypotez.engine.engine import EngineOptions
from hypotez.engine.local import LocalBackend, LocalOptions, open_base
from hypotez.errors import ContextLengthExceeded, InvalidRequest, ModelNotFound, Overloaded, SettingsError
from hypotez.nn.adapters import save_adapter
from hypotez.nn.load import load
from hypotez.nn.lora import attach, initialise, loras
from hypotez.nn.packed import Int8, Panels

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
USER = [{"role": "user", "content": "What is the capital of France?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Paris", "Rome"]}, "unit": {"enum": ["celsius", "fahrenheit"]}},
                "required": ["city", "unit"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "add",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}},
                "required": ["a"],
                "additionalProperties": False,
            },
        },
    },
]


async def answer(backend, **body):
    """All chunks of one reply, put together by choice."""
    choices, usage = {}, None
    async for chunk in backend.chat({"model": "tiny", "messages": USER, "max_tokens": 16, "temperature": 0, **body}):
        usage = chunk.get("usage", usage)
        for choice in chunk["choices"]:
            got = choices.setdefault(choice["index"], {"text": "", "calls": [], "logprobs": [], "finish": None})
            delta = choice["delta"]
            got["text"] += delta.get("content") or ""
            got["calls"] += delta.get("tool_calls", [])
            got["logprobs"] += (choice["logprobs"] or {}).get("content", [])
            got["finish"] = choice["finish_reason"] or got["finish"]
    return [choices[i] for i in sorted(choices)], usage


def run(backend, *bodies):
    """The first choice of each body, all asked at once."""

    async def ask():
        try:
            return await asyncio.gather(*(answer(backend, **body) for body in bodies), return_exceptions=True)
        finally:
            await backend.aclose()

    results = asyncio.run(ask())
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [choices[0] for choices, _ in results]


def test_a_reply_streams_and_ends_with_usage(backend_of):
    backend = backend_of()

    async def ask():
        chunks = [c async for c in backend.chat({"model": "tiny", "messages": USER, "max_tokens": 5, "seed": 1})]
        await backend.aclose()
        return chunks

    chunks = asyncio.run(ask())

    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][-1]["finish_reason"] == "length"
    usage = chunks[-1]["usage"]
    assert chunks[-1]["choices"] == []
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5


def test_greedy_text_is_the_same_alone_and_among_others(backend_of):
    bodies = [{"messages": [{"role": "user", "content": "Hello " * n}]} for n in range(1, 12)]
    noise = [{"temperature": 1.5, "max_tokens": 40, "top_p": 0.9} for _ in range(6)]

    alone = [run(backend_of(), body)[0]["text"] for body in bodies]
    together = run(backend_of(), *bodies, *noise)

    assert [one["text"] for one in together[: len(bodies)]] == alone


def test_a_seed_gives_the_same_reply_whatever_else_runs(backend_of):
    wish = {"temperature": 1.0, "seed": 7, "top_p": 0.95, "max_tokens": 30}

    alone = run(backend_of(), wish)[0]["text"]
    together = run(backend_of(), {"temperature": 1.0}, wish, {}, {**wish, "seed": 8})

    assert together[1]["text"] == alone
    assert together[3]["text"] != alone


def test_choices_differ_and_share_the_prompt(backend_of):
    backend = backend_of()
    prompt = [{"role": "user", "content": "Hello! " * 30}]

    async def ask():
        try:
            return await answer(backend, n=3, temperature=1.0, seed=3, messages=prompt)
        finally:
            await backend.aclose()

    choices, usage = asyncio.run(ask())
    numbers = usage["prompt_tokens"]

    assert len({choice["text"] for choice in choices}) == 3
    assert usage["completion_tokens"] == 48
    assert numbers > 32


def test_a_stop_string_across_tokens_is_never_shown(backend_of):
    text = run(backend_of(), {"max_tokens": 30})[0]["text"]
    stop = text[7:11]

    reply = run(backend_of(), {"max_tokens": 30, "stop": [stop, "never this"]})[0]

    assert reply["text"] == text[: text.index(stop)]
    assert reply["finish"] == "stop"


def test_logprobs_come_with_their_alternatives(backend_of):
    reply = run(backend_of(), {"logprobs": True, "top_logprobs": 3, "max_tokens": 6})[0]

    assert len(reply["logprobs"]) == 6
    for entry in reply["logprobs"]:
        assert len(entry["top_logprobs"]) == 3
        assert entry["logprob"] == entry["top_logprobs"][0]["logprob"] <= 0
        assert bytes(entry["bytes"]).decode("utf-8", "replace") == entry["token"]


def test_logit_bias_forbids_and_forces(backend_of, chat):
    token = chat.tokenizer.token_to_id("a")

    forced = run(backend_of(), {"logit_bias": {str(token): 100}, "max_tokens": 4})[0]

    assert forced["text"] == "aaaa"


def test_a_frequency_penalty_stops_repetition(backend_of, chat):
    bias = {str(chat.tokenizer.token_to_id("a")): 60}

    reply = run(backend_of(), {"logit_bias": bias, "frequency_penalty": 2.0, "max_tokens": 60})[0]

    assert reply["text"].count("a") < 60
    assert reply["text"].startswith("aaaa")


@pytest.mark.parametrize("temperature", [0, 1.0, 2.0])
def test_json_schema_is_obeyed_by_a_model_that_babbles(backend_of, temperature):
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Ann", "Боб"]}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    bodies = [{"response_format": form, "temperature": temperature, "seed": i, "max_tokens": 200} for i in range(4)]

    replies = run(backend_of(), *bodies, {})

    for reply in replies[:4]:
        jsonschema.validate(json.loads(reply["text"]), schema)
        assert reply["finish"] == "stop"


def test_a_regular_expression_is_obeyed(backend_of):
    form = {"type": "grammar", "grammar": {"syntax": "regex", "definition": r"\d{3}-[a-z]{2}"}}

    reply = run(backend_of(), {"response_format": form, "max_tokens": 50})[0]

    assert len(reply["text"]) == 6
    assert reply["text"][3] == "-"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}], ids=str)
def test_a_required_tool_is_called_validly(backend_of, choice):
    bodies = [
        {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "temperature": 1.0, "seed": i}
        for i in range(4)
    ]

    replies = run(backend_of(), *[{**body, "max_tokens": 200} for body in bodies])

    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    for reply in replies:
        (call,) = reply["calls"]
        function = call["function"]
        jsonschema.validate(json.loads(function["arguments"]), schemas[function["name"]])
        assert call["id"].startswith("call_")
        assert reply["text"] == ""
        # OpenAI's: a call that the client named itself is no news
        assert reply["finish"] == ("tool_calls" if choice == "required" else "stop")
        assert choice == "required" or function["name"] == "add"


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (
            {"messages": [{"role": "user", "content": "word " * 900}]},
            ContextLengthExceeded,
            "maximum context length is 1024",
        ),
        ({"max_tokens": 0}, InvalidRequest, "less than the minimum of 1"),
        ({"temperature": 3}, InvalidRequest, "temperature"),
        ({"top_p": "high"}, InvalidRequest, "top_p"),
        ({"n": 0}, InvalidRequest, "'n'"),
        ({"messages": []}, InvalidRequest, "messages"),
        ({"tool_choice": "required"}, InvalidRequest, "tools"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            InvalidRequest,
            "'x' not found",
        ),
        ({"response_format": {"type": "xml"}}, InvalidRequest, "xml"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nope"}}}},
            InvalidRequest,
            "schema",
        ),
        ({"logit_bias": {"a": 1}}, InvalidRequest, "logit_bias"),
        ({"top_logprobs": 2}, InvalidRequest, "logprobs"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            InvalidRequest,
            "cannot see images",
        ),
        ({"model": "gone"}, ModelNotFound, "gone"),
    ],
    ids=lambda v: str(v)[:40] if isinstance(v, dict) else "",
)
def test_a_request_at_fault_is_refused_before_the_first_chunk(backend_of, body, error, words):
    with pytest.raises(error, match=words):
        run(backend_of(), body)


def test_a_full_queue_refuses_with_a_time(backend_of):
    backend = backend_of(max_batch=1, max_queue=1)

    with pytest.raises(Overloaded) as refused:
        run(backend, *[{"max_tokens": 64} for _ in range(8)])

    assert refused.value.retry_after >= 1


def test_closing_the_stream_frees_its_blocks_at_once(backend_of):
    backend = backend_of()

    async def ask():
        stream = backend.chat(
            {"model": "tiny", "messages": USER, "max_tokens": 400, "temperature": 0, "ignore_eos": True}
        )
        await anext(stream)
        await stream.aclose()
        while (numbers := backend.metrics())[next(iter(numbers))]["cancelled_total"] == 0:
            await asyncio.sleep(0.01)
        engine = next(iter(backend._bases.values())).runner.engine
        await backend.aclose()
        return engine

    engine = asyncio.run(ask())

    assert engine.blocks.free == engine.blocks.count
    assert not engine.busy


def test_a_tuned_model_answers_at_once_anew_after_training_and_not_after_deletion(backend_of, folder, tmp_path):
    sources = {"tiny": Source(str(folder), None, Card("tiny"))}
    backend = backend_of(sources)
    replies = []

    async def ask():
        for seed in (0, 1):
            save_noise(folder, tmp_path / "adapter", seed)
            sources["ft:tiny"] = Source(str(folder), tmp_path / "adapter", Card("ft:tiny"))
            for model in ("tiny", "ft:tiny", "tiny"):
                choices, _ = await answer(backend, model=model)
                replies.append(choices[0]["text"])
        del sources["ft:tiny"]
        try:
            await answer(backend, model="ft:tiny")
        finally:
            await backend.aclose()

    with pytest.raises(ModelNotFound, match="ft:tiny"):
        asyncio.run(ask())
    base, first, base_again, _, second, _ = replies
    assert base == base_again
    assert len({base, first, second}) == 3


def save_noise(base, folder, seed):
    """A LoRA adapter that changes what the tiny model says."""
    decoder = load(base)
    attach(decoder, 4, slots=1)
    initialise(decoder, 0, 4, 8.0, seed)
    generator = torch.Generator().manual_seed(seed)
    for lora in loras(decoder):
        for b in lora.b:
            b.data.normal_(generator=generator)
    save_adapter(decoder, 0, folder, "tiny")


def test_more_adapters_than_slots_all_answer_in_their_own_words_until_deleted(backend_of, folder, tmp_path):
    sources = {}
    for seed in range(5):
        save_noise(folder, tmp_path / str(seed), seed)
        sources[f"ft:{seed}"] = Source(str(folder), tmp_path / str(seed), Card(f"ft:{seed}"))
    alone = {name: run(backend_of(sources), {"model": name})[0]["text"] for name in sources}
    backend = backend_of(sources, adapter_slots=2)
    asked = [name for _ in range(4) for name in sources]

    async def ask():
        replies = await asyncio.gather(*(answer(backend, model=name) for name in asked))
        again, _ = await answer(backend, model="ft:0")  # had to make way several times
        loads = next(iter(backend.metrics().values()))["adapter_loads_total"]
        del sources["ft:3"]
        missing = await asyncio.gather(answer(backend, model="ft:3"), return_exceptions=True)
        await backend.aclose()
        return [choices[0]["text"] for choices, _ in replies], again[0]["text"], loads, missing[0]

    texts, again, loads, missing = asyncio.run(ask())

    assert len(set(alone.values())) == 5
    assert texts == [alone[name] for name in asked]
    assert again == alone["ft:0"]
    assert loads > 5
    assert isinstance(missing, ModelNotFound)


def test_an_adapter_that_is_always_in_use_does_not_keep_the_slot_for_ever(backend_of, folder, tmp_path):
    sources = {}
    for seed in range(2):
        save_noise(folder, tmp_path / str(seed), seed)
        sources[f"ft:{seed}"] = Source(str(folder), tmp_path / str(seed), Card(f"ft:{seed}"))
    backend = backend_of(sources, adapter_slots=1)

    async def busy(other, pause):
        await asyncio.sleep(pause)  # so that one of them is always in the middle of a reply
        rounds = 0
        while not other.done() and rounds < 200:
            await answer(backend, model="ft:0", max_tokens=40, ignore_eos=True)
            rounds += 1
        return rounds

    async def late():
        await asyncio.sleep(0.1)
        return await answer(backend, model="ft:1")

    async def ask():
        await answer(backend, model="ft:0")
        other = asyncio.create_task(late())
        rounds = await asyncio.gather(*(busy(other, 0.01 * i) for i in range(3)))
        (choices, _) = await other
        await backend.aclose()
        return choices, rounds

    choices, rounds = asyncio.run(ask())

    assert choices[0]["text"]
    assert max(rounds) < 200


def test_embeddings_have_unit_norm_and_differ(backend_of):
    backend = backend_of()

    async def ask():
        vectors = await backend.embed("tiny", ["Hello", "Привет", ""])
        await backend.aclose()
        return vectors

    vectors = asyncio.run(ask())

    assert [round(sum(x * x for x in v), 4) for v in vectors] == [1.0, 1.0, 1.0]
    assert vectors[0] != vectors[1]


def test_the_setting_of_the_weights_reaches_the_engine(folder):
    sources = {"tiny": Source(str(folder), None, Card("tiny"))}
    small = EngineOptions(cache_tokens=2048)
    backend = LocalBackend(sources.get, list, LocalOptions(dtype="bfloat16", weights="int8", engine=small))

    assert run(backend, {"max_tokens": 4})[0]["finish"] == "length"
    runner = open_base(str(folder), LocalOptions(dtype="bfloat16", weights="int8", engine=small)).runner
    products = [linear.product for linear in runner.engine.decoder.linears]
    assert all(isinstance(p, Int8) or (isinstance(p, Panels) and p.scale is not None) for p in products)
    runner.close()


@pytest.mark.parametrize(
    ("device", "cure"),
    [
        pytest.param("cuda", "finds no NVIDIA GPU here; set it to auto or cpu", marks=NO_GPU),
        pytest.param("cuda:1", "engine.device is 'cuda:1'", marks=NO_GPU),
        ("gpu", "There is no device 'gpu'; set engine.device to auto, cpu or cuda"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_the_cure(folder, device, cure):
    source = Source(str(folder), None, Card("tiny"))
    backend = LocalBackend({"tiny": source}.get, list, LocalOptions(device=device))

    with pytest.raises(SettingsError, match=cure):
        asyncio.run(answer(backend, model="tiny"))
