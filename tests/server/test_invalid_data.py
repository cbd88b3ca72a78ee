"""Training data that OpenAI would refuse, by the official SDK over a socket: every case with its own words.

Each job below is made, checked by a supervisor that trains nothing, and read back: its error, its last event and its
report.
"""

import io
import json
import subprocess

import openai
import pytest
from tests.server.whole import whole_server
from tests.spec import conforms

from hypotez.worker.training import Room, Supervisor

FAILED = "The job failed due to an invalid training file. Invalid file format. "
ROLES = "'system', 'user', 'assistant', 'tool', 'function', 'developer'"
DPO = {"type": "dpo"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
USER, REPLY = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


def chat(*messages):
    return {"messages": list(messages) or [USER, REPLY]}


def picture(url=PIXEL):
    return {"type": "image_url", "image_url": {"url": url}}


def pair(preferred="preferred_output", **more):
    other = preferred.replace("preferred", "non_preferred")
    return {"input": {"messages": [USER]}, preferred: [REPLY], other: [{**REPLY, "content": "c"}], **more}


SOUND = [{"messages": [{"role": "user", "content": f"question {n}"}, REPLY]} for n in range(12)]
PAIRS = [pair(input={"messages": [{"role": "user", "content": f"question {n}"}]}) for n in range(12)]


def wrong(*rows, before=12, sound=SOUND):
    return [*(sound * 9)[:before], *rows]


# name: (rows, more of the request, code, message)
CASES = {
    "too few": (SOUND[:7], {}, "invalid_n_examples",
                "Training file has 7 example(s), but must have at least 10 examples"),
    "no role": (wrong(chat(USER, {"content": "b"}), before=99), {}, "invalid_training_file",
                f"{FAILED}Example 100, message 2 Discriminator 'role' is missing in value"),
    "unknown role": (wrong(chat({"role": "pirate", "content": "a"}, REPLY)), {}, "invalid_training_file",
                     f"{FAILED}Example 13, message 1 Input tag 'pirate' found using 'role' does not match any of the "
                     f"expected tags: {ROLES}"),
    "no chat at all": (wrong({"text": "a"}), {}, "invalid_training_file",
                       f"{FAILED}Unexpected file format, expected either prompt/completion pairs or chat messages."),
    "chat for dpo": (SOUND, {"method": DPO}, "invalid_training_file",
                     f"{FAILED}Input file {{file}} is in the fine-tune-chat format, but the specified fine-tuning job "
                     "is not using 'supervised' as the training method (provided method=dpo). "),
    "pairs for supervised": (PAIRS, {}, "invalid_training_file",
                             f"{FAILED}Input file {{file}} is in the fine-tune-preference format, but the specified "
                             "fine-tuning job is not using 'dpo' as the training method (provided "
                             "method=supervised). "),
    "no reply": (wrong(chat(USER)), {}, "invalid_training_file",
                 f"{FAILED}Example 13, there must be at least one message from the assistant"),
    "weight 2": (wrong(chat(USER, {**REPLY, "weight": 2})), {}, "invalid_training_file",
                 f"{FAILED}Example 13, message 2 weight must be 0 or 1, not 2"),
    "weight of a question": (wrong(chat({**USER, "weight": 0}, REPLY)), {}, "invalid_training_file",
                             f"{FAILED}Example 13, message 1 weight is for assistant messages only"),
    "no content": (wrong(chat({"role": "user"}, REPLY)), {}, "invalid_training_file",
                   f"{FAILED}Example 13, message 1 content is missing"),
    "content of a part": (wrong(chat({"role": "user", "content": [{"type": "text"}]}, REPLY)), {},
                          "invalid_training_file",
                          f"{FAILED}Example 13, message 1 content part of type 'text' has no text"),
    "a number for messages": (wrong({"messages": 5}), {}, "invalid_training_file",
                              f"{FAILED}Example 13, messages must be a list"),
    "a message that is none": (wrong(chat(5, REPLY)), {}, "invalid_training_file",
                               f"{FAILED}Example 13, message 1 Input should be a valid dictionary"),
    "11 images": (wrong(chat({"role": "user", "content": [picture()] * 11}, REPLY)), {}, "invalid_training_file",
                  f"{FAILED}Example 13, 11 images, at most 10 are allowed in an example"),
    "image in a reply": (wrong(chat(USER, {"role": "assistant", "content": [picture()]})), {}, "invalid_training_file",
                         f"{FAILED}Example 13, message 2 images are not allowed in assistant messages"),
    "a gif": (wrong(chat({"role": "user", "content": [picture("data:image/gif;base64,R0lG")]}, REPLY)), {},
              "invalid_training_file",
              f"{FAILED}Example 13, message 1 an image must be JPEG, PNG or WEBP in base64, not "
              "'data:image/gif;base64,R0lG'"),
    "an image of 11 MB": (wrong(chat({"role": "user", "content": [picture(PIXEL + "A" * 15_000_000)]}, REPLY)), {},
                          "invalid_training_file", f"{FAILED}Example 13, message 1 an image has at most 10 MB"),
    "a pair with an image": (wrong(pair(input={"messages": [{"role": "user", "content": [picture()]}]}), sound=PAIRS),
                             {"method": DPO}, "invalid_training_file",
                             f"{FAILED}Example 13, preference examples are text only: they cannot hold images"),
    "half a pair": (wrong({"input": {"messages": [USER]}, "preferred_output": [REPLY]}, sound=PAIRS), {"method": DPO},
                    "invalid_training_file", f"{FAILED}Example 13, non_preferred_output is missing"),
    "a pair of two replies": (wrong(pair(preferred_output=[REPLY, USER]), sound=PAIRS), {"method": DPO},
                              "invalid_training_file",
                              f"{FAILED}Example 13, preferred_output must be one message from the assistant"),
}  # fmt: skip


class Bench:
    def __init__(self, server, home):
        self.client, self.server = server.client, server
        self.supervisor = Supervisor(server.store, Room(home, "unused"), lambda job, room: subprocess.Popen(["true"]))

    def upload(self, rows) -> str:
        lines = rows if isinstance(rows, bytes) else "\n".join(map(json.dumps, rows)).encode()
        return self.client.files.create(file=("train.jsonl", io.BytesIO(lines)), purpose="fine-tune").id

    def checked(self, rows, **more):
        job = self.client.fine_tuning.jobs.create(model="scripted", training_file=self.upload(rows), **more)
        self.supervisor.tick()
        return self.client.fine_tuning.jobs.retrieve(job.id)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with whole_server(home) as whole:
        whole.server.client.fine_tuning.jobs.cancel(whole.ids["job_id"])
        yield Bench(whole.server, home)


@pytest.mark.parametrize(("rows", "more", "code", "message"), CASES.values(), ids=CASES)
def test_the_job_fails_in_these_words_and_reports_every_fault(bench, rows, more, code, message):
    job = bench.checked(rows, **more)

    expected = message.format(file=job.training_file)
    assert (job.status, job.error.code, job.error.message, job.error.param) == (
        "failed",
        code,
        expected,
        "training_file",
    )
    last = bench.client.fine_tuning.jobs.list_events(job.id).data[0]
    assert (last.level, last.message) == ("error", expected)
    report = bench.client.files.content(job.result_files[0]).text.splitlines()
    assert report[0] == "file,line,field,message"
    assert len(report) > 1
    conforms("FineTuningJob", job)


def test_every_fault_of_a_file_is_in_the_report_with_its_line(bench):
    rows = [*SOUND, chat(USER), chat({"role": "pirate", "content": "a"}, REPLY), {"text": "a"}]

    job = bench.checked(rows)

    report = bench.client.files.content(job.result_files[0]).text
    assert [f"{job.training_file},{line}," in report for line in (13, 14, 15)] == [True] * 3


def test_a_fault_in_the_validation_file_names_it(bench):
    job = bench.checked(SOUND, validation_file=bench.upload(wrong(chat(USER))))

    assert (job.status, job.error.param) == ("failed", "validation_file")
    assert job.error.message.endswith("Example 13, there must be at least one message from the assistant")


@pytest.mark.parametrize(
    ("line", "start"),
    [
        (b"[1, 2]", "[1, 2]"),
        (b"question,answer", "question,answer"),
        (b'{"messages": [}', '{"messages": [}'),
        (b"5", "5"),
        (b"null", "null"),
        (b'{"a": "\xff"}', '{"a": "\ufffd"}'),
        (b"[" * 100_000, "[" * 40 + "..."),
        (b'{"a": ' + b"9" * 5000 + b"}", '{"a": ' + "9" * 34 + "..."),
    ],
    ids=["array", "csv", "cut", "number", "null", "latin-1", "deep", "endless number"],
)
def test_an_upload_that_is_not_jsonl_is_refused_with_the_line(bench, line, start):
    with pytest.raises(openai.BadRequestError) as caught:
        bench.upload(b'{"messages": []}\n' + line + b"\n")

    assert caught.value.body["message"] == (
        "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
        f'Line 2 is not a dictionary (starts with: "{start}").'
    )
    assert (caught.value.body["type"], caught.value.status_code) == ("invalid_request_error", 400)


def test_a_model_that_cannot_be_trained_is_refused_at_creation(bench):
    with pytest.raises(openai.BadRequestError) as caught:
        bench.client.fine_tuning.jobs.create(model="gpt-9", training_file=bench.upload(SOUND))

    assert caught.value.body == {
        "message": "Model gpt-9 is not available for fine-tuning or does not exist.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_available",
    }


SOUND_ONES = {
    "tools": wrong(
        {
            **chat(USER, {"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "x"}, REPLY),
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "parallel_tool_calls": False,
        }
    ),
    "weights": wrong(chat(USER, {**REPLY, "weight": 0}, USER, {**REPLY, "weight": 1})),
    "system and function": wrong(
        chat({"role": "system", "content": "s"}, USER, {"role": "function", "name": "f", "content": "x"}, REPLY)
    ),
    "ten images": wrong(chat({"role": "user", "content": [picture()] * 10}, REPLY)),
    "longer than the model": wrong(chat({"role": "user", "content": "word " * 20_000}, REPLY)),
    "blank lines": b"\n\n".join(json.dumps(row).encode() for row in SOUND),
    "a byte order mark": b"\xef\xbb\xbf" + b"\n".join(json.dumps(row).encode() for row in SOUND),
}  # fmt: skip


@pytest.mark.parametrize("rows", SOUND_ONES.values(), ids=SOUND_ONES)
def test_what_openai_takes_is_taken(bench, rows):
    job = bench.checked(rows)

    assert (job.status, job.error) == ("queued", None)
    bench.client.fine_tuning.jobs.cancel(job.id)


@pytest.mark.parametrize("preferred", ["preferred_output", "preferred_completion"])
def test_both_spellings_of_preferences_are_taken(bench, preferred):
    rows = [pair(preferred, input={"messages": [{"role": "user", "content": f"question {n}"}]}) for n in range(12)]

    job = bench.checked(rows, method=DPO)

    assert (job.status, job.error) == ("queued", None)
    bench.client.fine_tuning.jobs.cancel(job.id)
