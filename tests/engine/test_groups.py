"""Groups of replies from a decoder that is being trained."""

import pytest
import torch
from tests.tiny import model_folder, random_adapter

from hypotez.engine.groups import GroupSampler
from hypotez.nn.load import load
from hypotez.nn.lora import loras
from hypotez.text import Chat
from hypotez.training.examples import Tokens
from hypotez.training.logps import Policy, lay

ROWS = [{"messages": [{"role": "user", "content": text}]} for text in ("Paris?", "What is the weather like?", "Hello!")]
BODY = {"max_completion_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture
def decoder(folder):
    """With an adapter in slot 0 that is being trained."""
    decoder = load(folder, torch.float32)
    random_adapter(decoder, 0.2)
    return decoder


def texts(groups):
    return [[one.text for one in group] for group in groups]


def test_log_probabilities_are_those_that_training_computes(decoder, folder):
    groups = GroupSampler(decoder, Chat.open(folder), 0, BODY).write(ROWS, [1, 2, 3], 4, "now")
    policy = Policy(decoder, 0)

    for one in (one for group in groups for one in group):
        tokens, start = one.sequence.tokens, one.sequence.prompt_length
        sequence = Tokens(tokens, [at >= start for at in range(len(tokens))])
        logps, _ = policy.logps(lay([sequence]))
        assert one.logps == pytest.approx(logps.tolist(), abs=2e-4)
        assert logps.requires_grad


def test_the_dice_decide_and_other_weights_say_other_things(decoder, folder):
    sampler = GroupSampler(decoder, Chat.open(folder), 0, BODY)
    first = texts(sampler.write(ROWS, [1, 2, 3], 4, "step 0"))

    assert texts(sampler.write(ROWS, [1, 2, 3], 4, "step 0 again")) == first
    assert texts(sampler.write(ROWS, [4, 5, 6], 4, "step 0 too")) != first
    assert len({text for group in first for text in group}) > 6
    with torch.no_grad():
        for lora in loras(decoder):
            lora.a.mul_(-1)
    assert texts(sampler.write(ROWS, [1, 2, 3], 4, "step 1")) != first


def test_a_form_that_is_asked_for_binds_every_reply(decoder, folder):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema | {"additionalProperties": False}}}
    body = {"max_completion_tokens": 24, "response_format": form}

    groups = GroupSampler(decoder, Chat.open(folder), 0, body).write(ROWS, [1, 2, 3], 4, "now")

    assert {text for group in texts(groups) for text in group} <= {'{"ok": true}', '{"ok": false}'}
