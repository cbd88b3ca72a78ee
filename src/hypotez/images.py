"""An image from anywhere, checked, shrunk and encoded for a request. Knows no model and no wire but ``data:`` URLs.

What arrives as a small JPEG, PNG, WEBP or GIF goes out as it is; everything else is turned upright, brought to
at most 2048 pixels a side and written again, without its metadata (a phone writes the place into it).
"""

import base64
import binascii
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hypotez.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | os.PathLike[str] | bytes | Image

LONGEST_SIDE = 2048  # pixels; OpenAI scales larger ones down itself, after the transfer
LARGEST = 20 * 1024**2  # bytes of a file or a download
_AS_IT_IS = 4 * 1024**2  # bytes
_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
_QUALITY = 90
_SECONDS = 30.0


def data_url(source: "Source") -> str:
    """The image as a ``data:`` URL. Raises ``ImageError`` saying which image and why."""
    from PIL import Image

    if isinstance(source, Image.Image):
        return _encode(source)
    name, content = _read(source)
    image = _open(name, content)
    kind = _FORMATS.get(image.format or "")
    if kind and max(image.size) <= LONGEST_SIDE and len(content) <= _AS_IT_IS and not image.getexif():
        return _url(kind, content)
    return _encode(image)


def _read(source: "str | os.PathLike[str] | bytes") -> tuple[str, bytes]:
    """The image's name for messages, and its bytes."""
    if isinstance(source, bytes | bytearray):
        return "the image", _limited("the image", bytes(source))
    text = os.fspath(source)
    if text.startswith("data:"):
        try:
            return "the data: URL", base64.b64decode(text.partition(",")[2], validate=True)
        except binascii.Error as exc:
            raise ImageError(f"The data: URL is not base64: {exc}.") from exc
    if text.startswith(("http://", "https://")):
        return text, _fetch(text)
    return text, _read_file(Path(text))


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise ImageError(_too_large(str(path)))
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise ImageError(f"There is no image {path}.", code="image_not_found") from exc
    except OSError as exc:
        raise ImageError(f"{path} cannot be read: {exc.strerror}.") from exc


def _fetch(url: str) -> bytes:
    import requests

    try:
        with requests.get(url, timeout=_SECONDS, stream=True) as answer:
            answer.raise_for_status()
            content = answer.raw.read(LARGEST + 1, decode_content=True)
    except requests.RequestException as exc:
        raise ImageError(f"{url} could not be fetched: {exc}.") from exc
    return _limited(url, content)


def _limited(name: str, content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise ImageError(_too_large(name))
    return content


def _too_large(name: str) -> str:
    return f"{name} is larger than {LARGEST // 1024**2} MB."


def _open(name: str, content: bytes) -> "Image":
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise ImageError(f"{name} is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
            image.load()
    except UnidentifiedImageError as exc:
        raise ImageError(f"{name} is not an image that can be read (JPEG, PNG, WEBP, GIF, ...).") from exc
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise ImageError(f"{name} has too many pixels: {exc}.") from exc
    except (OSError, SyntaxError, ValueError, EOFError) as exc:
        raise ImageError(f"{name} is damaged: {exc}.") from exc
    return image


def _encode(image: "Image") -> str:
    from PIL import ImageOps

    if 0 in image.size:
        raise ImageError("The image has no pixels.")
    upright = ImageOps.exif_transpose(image)
    see_through = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
    converted = upright.convert("RGBA" if see_through else "RGB")
    converted.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    out = io.BytesIO()
    if see_through:
        converted.save(out, "PNG")
        return _url("image/png", out.getvalue())
    converted.save(out, "JPEG", quality=_QUALITY)
    return _url("image/jpeg", out.getvalue())


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
