"""The chat model as judge: what it is asked, and what is made of its answers."""

import json

import pytest

from hypotez.sentiment import question, read


def test_the_question_constrains_the_answer_to_the_three_words():
    messages, response_format = question("not bad at all")

    schema = response_format["json_schema"]["schema"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[1]["content"] == "not bad at all"
    assert response_format["type"] == "json_schema"
    assert sorted(schema["properties"]["sentiment"]["enum"]) == ["negative", "neutral", "positive"]
    assert schema["required"] == ["sentiment"]
    assert json.loads(json.dumps(response_format)) == response_format


def test_of_a_long_message_the_judge_sees_both_ends():
    messages, _ = question("begin" + "x" * 100_000 + "end")

    shown = messages[1]["content"]
    assert len(shown) < 5000
    assert shown.startswith("begin")
    assert shown.endswith("end")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"sentiment": "positive"}', "positive"),
        (' {"sentiment":"negative"}\n', "negative"),
        ('"neutral"', "neutral"),
        ("Positive.", "positive"),
        ("The sentiment is negative", "negative"),
        ("", None),
        (None, None),
        ("positive or negative", None),
        ("I cannot tell", None),
        ('{"sentiment": "angry"}', None),
        ('{"sentiment": 3}', None),
        ("[]", None),
        ("12", None),
    ],
)
def test_what_a_reply_says(reply: str | None, expected: str | None):
    assert read(reply) == expected
