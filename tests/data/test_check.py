"""The check of a training file: OpenAI's sentence for the first fault, all of them in the report."""

import json
from pathlib import Path

import pytest

from hypotez.data.check import check_training_file
from hypotez.data.forecast import auto_epochs
from hypotez.data.tokens import of_example, of_text

USER = {"role": "user", "content": "Hi"}
REPLY = {"role": "assistant", "content": "Hello"}
GOOD = {"messages": [USER, REPLY]}
PAIR = {
    "input": {"messages": [USER]},
    "preferred_output": [REPLY],
    "non_preferred_output": [{**REPLY, "content": "No"}],
}
FAILED = "The job failed due to an invalid training file. Invalid file format. "


def written(tmp_path: Path, *lines: object, filled_with: object = GOOD, total: int = 12) -> Path:
    path = tmp_path / "t.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    numbered = [json.dumps(filled_with).replace("Hi", f"Hi {i}") for i in range(total - len(texts))]
    path.write_text("\n".join([*numbered, *texts]) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("method", "example"),
    [
        pytest.param("supervised", GOOD, id="supervised"),
        pytest.param("dpo", PAIR, id="dpo"),
        pytest.param(
            "dpo",
            {"input": PAIR["input"], "preferred_completion": [REPLY], "non_preferred_completion": [REPLY]},
            id="dpo, older spelling",
        ),
        pytest.param("kto", {**GOOD, "label": False}, id="kto"),
    ],
)
def test_a_sound_file_has_no_faults(tmp_path: Path, method: str, example: dict):
    report = check_training_file(written(tmp_path, filled_with=example), method)

    assert report.ok
    assert (report.n_examples, report.code, report.first_openai_message) == (12, None, None)
    assert report.n_tokens > 12 * 6
    assert report.warnings == []


@pytest.mark.parametrize(
    ("method", "line", "field", "message"),
    [
        pytest.param(
            "supervised",
            {"messages": [USER, {"content": "x"}, REPLY]},
            "messages[1].role",
            "Example 12, message 2 Discriminator 'role' is missing in value",
            id="no role",
        ),
        pytest.param(
            "supervised",
            {"messages": [USER, {"role": "bot", "content": "x"}, REPLY]},
            "messages[1].role",
            "Example 12, message 2 Input tag 'bot' found using 'role' does not match any of the expected tags: "
            "'system', 'user', 'assistant', 'tool', 'function', 'developer'",
            id="wrong role",
        ),
        pytest.param(
            "supervised",
            {"text": "x"},
            None,
            "Unexpected file format, expected either prompt/completion pairs or chat messages.",
            id="unexpected",
        ),
        pytest.param(
            "dpo",
            GOOD,
            None,
            "Input file file-X is in the fine-tune-chat format, but the specified fine-tuning job is not using "
            "'supervised' as the training method (provided method=dpo). ",
            id="chat for dpo",
        ),
        pytest.param(
            "supervised",
            PAIR,
            None,
            "Input file file-X is in the fine-tune-preference format, but the specified fine-tuning job is not using "
            "'dpo' as the training method (provided method=supervised). ",
            id="pairs for supervised",
        ),
        pytest.param("supervised", {"messages": []}, "messages", "Example 12, messages is empty", id="no messages"),
        pytest.param("supervised", {"messages": 3}, "messages", "Example 12, messages must be a list", id="number"),
        pytest.param(
            "supervised",
            {"messages": ["x", REPLY]},
            "messages[0]",
            "Example 12, message 1 Input should be a valid dictionary",
            id="no dictionary",
        ),
        pytest.param(
            "supervised",
            {"messages": [{"role": "user", "content": " "}, REPLY]},
            "messages[0].content",
            "Example 12, message 1 content is empty",
            id="empty content",
        ),
        pytest.param(
            "supervised",
            {"messages": [{"role": "user"}, REPLY]},
            "messages[0].content",
            "Example 12, message 1 content is missing",
            id="no content",
        ),
        pytest.param(
            "supervised",
            {"messages": [USER]},
            "messages",
            "Example 12, there must be at least one message from the assistant",
            id="no reply",
        ),
        pytest.param(
            "supervised",
            {"messages": [USER, {**REPLY, "weight": 2}]},
            "messages[1].weight",
            "Example 12, message 2 weight must be 0 or 1, not 2",
            id="weight",
        ),
        pytest.param(
            "supervised",
            {"messages": [{**USER, "weight": 1}, REPLY]},
            "messages[0].weight",
            "Example 12, message 1 weight is for assistant messages only",
            id="weight of a question",
        ),
        pytest.param(
            "supervised",
            {"messages": [USER, {**REPLY, "weight": 0}]},
            "messages",
            "Example 12, every assistant message has weight 0, so there is nothing to learn",
            id="nothing weighs",
        ),
        pytest.param(
            "supervised",
            {"messages": [USER, {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[1].content",
            "Example 12, message 2 images are not allowed in assistant messages",
            id="image from the assistant",
        ),
        pytest.param(
            "supervised",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}] * 11,
                    },
                    REPLY,
                ]
            },
            "messages",
            "Example 12, 11 images, at most 10 are allowed in an example",
            id="many images",
        ),
        pytest.param(
            "supervised",
            {"messages": [USER, {"role": "tool", "content": "4"}, REPLY]},
            "messages[1].tool_call_id",
            "Example 12, message 2 tool_call_id is missing",
            id="tool without call",
        ),
        pytest.param(
            "kto",
            {**GOOD, "label": "yes"},
            "label",
            "Example 12, label must be true (desirable) or false (undesirable)",
            id="label",
        ),
        pytest.param(
            "kto",
            {"messages": [REPLY, USER], "label": True},
            "messages",
            "Example 12, the last message must be from the assistant",
            id="question last",
        ),
        pytest.param(
            "dpo",
            {key: PAIR[key] for key in ("input", "preferred_output")},
            "non_preferred_output",
            "Example 12, non_preferred_output is missing",
            id="no worse answer",
        ),
        pytest.param(
            "dpo",
            {**PAIR, "preferred_output": [REPLY, REPLY]},
            "preferred_output",
            "Example 12, preferred_output must be one message from the assistant",
            id="two better answers",
        ),
        pytest.param(
            "dpo", {**PAIR, "input": "Hi"}, "input.messages", "Example 12, input must hold messages", id="bare input"
        ),
    ],
)
def test_the_first_fault_is_in_openai_s_words(tmp_path: Path, method: str, line: dict, field: str | None, message: str):
    sound = {"supervised": GOOD, "dpo": PAIR, "kto": {**GOOD, "label": True}}[method]

    report = check_training_file(written(tmp_path, line, filled_with=sound), method, file_id="file-X")

    assert report.code == "invalid_training_file"
    assert report.first_openai_message == FAILED + message
    assert (report.faults[0].line, report.faults[0].field) == (12, field)


@pytest.mark.parametrize(
    ("line", "start"),
    [
        pytest.param("[1, 2]", "[1, 2]", id="list"),
        pytest.param('"text"', '"text"', id="string"),
        pytest.param("{,", "{,", id="torn"),
    ],
)
def test_a_line_that_is_no_dictionary(tmp_path: Path, line: str, start: str):
    report = check_training_file(written(tmp_path, line))

    assert report.first_openai_message == (
        "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
        f"Line 12 is not a dictionary (starts with: {start}...)"
    )


def test_too_few_examples(tmp_path: Path):
    report = check_training_file(written(tmp_path, total=7))

    assert report.code == "invalid_n_examples"
    assert report.first_openai_message == "Training file has 7 example(s), but must have at least 10 examples"
    assert check_training_file(written(tmp_path, total=7), minimum=1).ok


def test_every_fault_is_reported_with_its_line(tmp_path: Path):
    path = written(tmp_path, {"messages": [{"content": "x"}]}, "nonsense", "", {"messages": [USER, USER]}, total=13)

    report = check_training_file(path, name="train.jsonl")

    assert [str(fault) for fault in report.faults] == [
        "train.jsonl:10: messages[0].role: message 1 Discriminator 'role' is missing in value",
        "train.jsonl:10: messages: there must be at least one message from the assistant",
        "train.jsonl:11: not valid JSON (column 1: Expecting value)",
        "train.jsonl:13: messages: there must be at least one message from the assistant",
    ]


def test_bytes_that_are_not_utf8(tmp_path: Path):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"messages": "\xff"}\n')

    report = check_training_file(path)

    assert [str(fault) for fault in report.faults] == [f"{path}:13: not UTF-8 (byte 0xFF at column 15)"]


def test_duplicates_and_long_examples_are_warnings(tmp_path: Path):
    long = {"messages": [USER, {**REPLY, "content": "word " * 300}]}

    report = check_training_file(written(tmp_path, GOOD, GOOD, long), context_window=100)

    assert report.ok
    assert [str(w).removeprefix(f"{report.path}:") for w in report.warnings] == [
        "11: the same as line 10",
        "12: about 385 tokens, more than the model's 100: it is cut at the end",
    ]


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [
        (1, 25),
        (3, 25),
        (4, 25),
        (5, 20),
        (10, 10),
        (33, 3),
        (34, 3),
        (1000, 3),
        (8333, 3),
        (8334, 2),
        (25000, 1),
        (90000, 1),
    ],
)
def test_openai_s_rule_for_epochs(examples: int, epochs: int):
    assert auto_epochs(examples) == epochs


def test_tokens_are_counted_as_openai_does_around_an_estimate_of_the_content():
    assert of_text("") == 0
    assert of_text("word " * 100) == 125
    assert of_text("слово " * 100) == pytest.approx(225, abs=1)
    assert of_example(GOOD) == 3 + (3 + 1) + (3 + 2)


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5000], ids=["deep", "endless number"])
def test_a_line_that_no_parser_takes_is_a_fault_like_others(tmp_path, value):
    path = tmp_path / "train.jsonl"
    path.write_text(f'{{"messages": {value}}}\n')

    report = check_training_file(path)

    assert (report.faults[0].line, report.code) == (1, "invalid_training_file")


def test_images_are_counted_over_the_file(tmp_path):
    picture = {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}
    path = tmp_path / "train.jsonl"
    line = json.dumps({"messages": [{"role": "user", "content": [picture]}, REPLY]}) + "\n"
    path.write_text(line * 50_001)

    report = check_training_file(path)

    assert report.first_openai_message.endswith("50001 examples have images, at most 50000 may")
