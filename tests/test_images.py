"""Reading, checking, shrinking and encoding images."""

import base64
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from hypotez import images
from hypotez.errors import ImageError


def decoded(url: str) -> Image.Image:
    kind, _, content = url.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == f"data:image/{image.format.lower()}"
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_small_image_goes_out_as_it_is(format: str):
    content = encoded(Image.new("RGB", (20, 10), "blue"), format)

    assert base64.b64decode(images.data_url(content).partition(",")[2]) == content


def test_a_large_image_is_shrunk_and_keeps_its_shape():
    image = decoded(images.data_url(Image.new("RGB", (4096, 1024), "blue")))

    assert image.size == (2048, 512)
    assert image.format == "JPEG"


def test_a_phone_s_photo_is_turned_upright_and_its_metadata_left_behind():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by ninety degrees
    exif[0x010F] = "phone"

    image = decoded(images.data_url(encoded(Image.new("RGB", (40, 20), "blue"), "JPEG", exif=exif)))

    assert image.size == (20, 40)
    assert not image.getexif()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept(mode: str):
    assert decoded(images.data_url(Image.new(mode, (9, 9)))).mode == "RGBA"


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16", "F"])
def test_every_kind_of_pixel_is_encoded(mode: str):
    assert decoded(images.data_url(Image.new(mode, (9, 9)))).size == (9, 9)


@pytest.mark.parametrize("format", ["BMP", "TIFF"])
def test_other_formats_are_converted(format: str):
    assert decoded(images.data_url(encoded(Image.new("RGB", (9, 9)), format))).format == "JPEG"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(b"", "the image is empty", id="empty"),
        pytest.param(b"hello", "the image is not an image that can be read", id="text"),
        pytest.param(encoded(Image.effect_noise((99, 99), 9))[:-900], "the image is damaged", id="cut off"),
        pytest.param("data:image/png;base64,*", "The data: URL is not base64", id="data url"),
        pytest.param("nowhere.png", "There is no image nowhere.png", id="missing"),
        pytest.param("/", "/ cannot be read: Is a directory", id="folder"),
        pytest.param(b"0" * (20 * 1024**2 + 1), "the image is larger than 20 MB", id="large"),
        pytest.param("http://127.0.0.1:9/a.png", "http://127.0.0.1:9/a.png could not be fetched", id="no server"),
        pytest.param(Image.new("RGB", (0, 5)), "The image has no pixels", id="no pixels"),
    ],
)
def test_what_cannot_be_used_says_why(source: object, expected: str):
    with pytest.raises(ImageError) as caught:
        images.data_url(source)

    assert expected in str(caught.value)


def test_a_picture_of_too_many_pixels_is_refused():
    bomb = encoded(Image.new("1", (12000, 12000)))

    with pytest.raises(ImageError, match="too many pixels"):
        images.data_url(bomb)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/a.png"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(encoded(Image.new("RGB", (30, 20))) if found else b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_url_is_fetched(web: str):
    assert decoded(images.data_url(f"{web}/a.png")).size == (30, 20)


def test_a_url_that_is_not_there_says_so(web: str):
    with pytest.raises(ImageError, match=r"/b.png could not be fetched: 404"):
        images.data_url(f"{web}/b.png")
