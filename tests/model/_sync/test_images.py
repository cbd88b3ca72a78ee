"""Describing images: what is sent, what the reply means, by the SDK and by plain HTTP."""

import base64
import io
from pathlib import Path

import openai
import pytest
from PIL import Image
from pydantic import BaseModel
from tests.model.fake_server import FakeServer, Status

from hypotez import OpenAIModel
from hypotez.errors import ImageError, InvalidRequest, UpstreamError
from hypotez.settings import Settings

pytestmark = pytest.mark.anyio


class Picture(BaseModel):
    colour: str
    objects: list[str] = []


def opened(server: FakeServer, settings: Settings, **options) -> OpenAIModel:
    return OpenAIModel(base_url=server.base_url, settings=settings, **options)


def sent(server: FakeServer) -> Image.Image:
    """The picture in the latest request."""
    url = server.chats()[-1]["messages"][-1]["content"][1]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), "red").save(path)
    return path


def test_an_image_is_sent_and_the_text_returned(server: FakeServer, settings: Settings, photo: Path):
    server.replies.append("A red rectangle.")
    with opened(server, settings, system_instruction="Be brief.") as model:
        assert model.describe_image(photo, "What is it?") == "A red rectangle."

    body = server.chats()[0]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1]["content"][0] == {"type": "text", "text": "What is it?"}
    assert sent(server).size == (40, 30)


def test_a_path_bytes_a_url_and_an_image_are_the_same(server: FakeServer, settings: Settings, photo: Path):
    url = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    with opened(server, settings) as model:
        for source in (str(photo), photo, photo.read_bytes(), url, Image.open(photo)):
            model.describe_image(source)
            assert sent(server).size == (40, 30)


@pytest.mark.parametrize(
    "reply", ['{"colour": "red", "objects": []}', '```json\n{"colour": "red", "objects": []}\n```']
)
def test_a_reply_that_is_json_is_a_namespace(server: FakeServer, settings: Settings, photo: Path, reply: str):
    server.replies.extend([reply, reply])
    with opened(server, settings) as model:
        assert (model.describe_image(photo)).colour == "red"
        assert (model.describe_image_by_requests(photo)).objects == []


@pytest.mark.parametrize("reply", ["[1]", "3", '"red"', "{red}"])
def test_other_replies_stay_text(server: FakeServer, settings: Settings, photo: Path, reply: str):
    server.replies.append(reply)
    with opened(server, settings) as model:
        assert model.describe_image(photo) == reply


def test_a_pydantic_model_is_asked_for_and_returned(server: FakeServer, settings: Settings, photo: Path):
    server.replies.extend(['{"colour": "red", "objects": ["a"]}', "no idea"])
    with opened(server, settings) as model:
        described = model.describe_image(photo, response_format=Picture)
        with pytest.raises(UpstreamError, match=r"(?s)The reply is no Picture: .*It was: no idea"):
            model.describe_image(photo, response_format=Picture)

    assert described == Picture(colour="red", objects=["a"])
    schema = server.chats()[0]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["colour", "objects"]
    assert schema["schema"]["additionalProperties"] is False


def test_many_images_come_back_in_order(server: FakeServer, settings: Settings, tmp_path: Path, capsys):
    paths = []
    for i in range(6):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (10 + i, 10)).save(paths[-1])
    with opened(server, settings) as model:
        described = model.describe_images(paths, "What?", concurrency=3)

    assert described == ["gpt-4o-mini heard: an image"] * 6
    assert "images" in capsys.readouterr().err


def test_the_first_bad_image_of_many_is_an_error(server: FakeServer, settings: Settings, photo: Path):
    with opened(server, settings, on_error="none") as forgiving:
        assert forgiving.describe_images([photo, "nowhere.png"], progress=False) == [
            "gpt-4o-mini heard: an image",
            None,
        ]
    with opened(server, settings) as model:
        for wrong, error in [({"concurrency": 0}, InvalidRequest), ({}, ImageError)]:
            with pytest.raises(error):
                model.describe_images([photo, "nowhere.png"], progress=False, **wrong)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("a.png", b"no image", "a.png is not an image that can be read", id="text"),
        pytest.param("a.png", b"", "a.png is empty.", id="empty"),
        pytest.param("a.png", b"\x89PNG\r\n\x1a\n" + b"0" * 50, "a.png is", id="only a signature"),
        pytest.param("a.pdf", b"%PDF-1.7 ...", "a.pdf is not an image that can be read", id="pdf"),
        pytest.param("a.png", None, "There is no image", id="missing"),
    ],
)
def test_what_is_no_image_is_refused_before_anything_is_sent(
    server: FakeServer, settings: Settings, tmp_path: Path, name: str, content: bytes | None, expected: str
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with opened(server, settings) as model:
        for describe in (model.describe_image, model.describe_image_by_requests):
            with pytest.raises(ImageError) as caught:
                describe(tmp_path / name)
            assert expected in str(caught.value)

    assert server.chats() == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Status(400), openai.BadRequestError, id="400"),
        pytest.param(Status(401, "invalid_api_key"), openai.AuthenticationError, id="401"),
        pytest.param(Status(404, "model_not_found"), openai.NotFoundError, id="404"),
        pytest.param(Status(429, "insufficient_quota"), openai.RateLimitError, id="429"),
        pytest.param(Status(418), openai.APIStatusError, id="418"),
        pytest.param(Status(500, headers={"x-should-retry": "false"}), openai.InternalServerError, id="500"),
    ],
)
def test_both_ways_raise_the_same_errors(
    server: FakeServer, settings: Settings, photo: Path, fault: Status, error: type[openai.APIStatusError]
):
    with opened(server, settings) as model:
        caught = []
        for describe in (model.describe_image, model.describe_image_by_requests):
            server.replies.append(fault)
            with pytest.raises(error) as each:
                describe(photo)
            caught.append(each.value)

    by_sdk, by_requests = caught
    assert type(by_sdk) is type(by_requests)
    assert (by_sdk.code, by_sdk.status_code, str(by_sdk)) == (
        by_requests.code,
        by_requests.status_code,
        str(by_requests),
    )


def test_no_server_is_the_same_error_both_ways(settings: Settings, photo: Path):
    model = OpenAIModel(base_url="http://127.0.0.1:9/v1", settings=settings)

    with pytest.raises(openai.APIConnectionError):
        model.describe_image(photo, attempts=1)
    with pytest.raises(openai.APIConnectionError, match=r"No connection to http://127.0.0.1:9/v1"):
        model.describe_image_by_requests(photo)
    model.close()
