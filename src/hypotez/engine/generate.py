"""The ``Backend`` for models that the decoder here does not know, those that see among them: transformers computes.

One request after another, in a thread: ``generate`` writes one reply to its end. What is wanted of each token
(sampling, log-probabilities, grammars, stop strings, tool calls) is decided by the same code as in the engine, so that
a request means the same whoever answers it.
"""

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hypotez.backend import Card, Json
from hypotez.engine.guide import Grammars
from hypotez.engine.mailbox import Mailbox
from hypotez.engine.precision import choose_device, choose_dtype
from hypotez.engine.reply import Reply
from hypotez.engine.request import ChatRequest, read
from hypotez.engine.sampler import choose
from hypotez.engine.sequence import Finish, Sampling
from hypotez.engine.sequence import Sequence as TokenSequence
from hypotez.errors import ImageError, InvalidRequest, MissingExtra, Overloaded
from hypotez.nn.load import find
from hypotez.text import Chat


class GenerateBackend:
    """One model, already loaded. ``open`` reads it; ``max_queue`` requests may wait for the one being answered."""

    def __init__(self, name: str, model: Any, chat: Chat, look: Any, max_queue: int) -> None:
        self._name, self._model, self._chat, self._look = name, model, chat, look
        text = model.config.get_text_config()
        self._context = int(getattr(text, "max_position_embeddings", 2048))
        self._grammars = Grammars(chat, text.vocab_size)
        self._turn, self._waiting, self._most = asyncio.Lock(), 0, max_queue

    @classmethod
    def open(cls, base: str, name: str, dtype: str, device: str, max_queue: int) -> "GenerateBackend":
        """Read a model (a folder, or a repository on Hugging Face). Takes seconds.

        Raises ``MissingExtra`` without transformers, ``InvalidRequest`` for what transformers cannot run either.
        """
        folder = find(base)
        kind = json.loads((folder / "config.json").read_text())
        try:
            import transformers
        except ImportError as exc:
            what = f"The model '{name}' (type '{kind.get('model_type')}') is run by transformers, which"
            raise MissingExtra("transformers", what) from exc
        sees = "vision_config" in kind
        library: Any = transformers
        loader = library.AutoModelForImageTextToText if sees else library.AutoModelForCausalLM
        device = choose_device(device)
        try:
            model = loader.from_pretrained(folder, dtype=choose_dtype(dtype, device)).to(device).eval()
            look = library.AutoProcessor.from_pretrained(folder) if sees else None
        except (ValueError, OSError, KeyError, ImportError) as exc:
            raise InvalidRequest(f"transformers cannot run the model '{name}': {exc}", param="model") from exc
        return cls(name, model, Chat.open(folder), look, max_queue)

    async def cards(self) -> Sequence[Card]:
        return [Card(self._name, context_window=self._context, sees_images=self._look is not None)]

    async def chat(self, body: Json) -> AsyncGenerator[Json]:
        if self._waiting > self._most:
            raise Overloaded(f"{self._waiting} requests are waiting for this model already.", retry_after=5.0)
        request, inputs = await asyncio.to_thread(self._read, body)
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        said: asyncio.Queue[list[Json] | BaseException | None] = asyncio.Queue()
        replies = [self._reply(request, i) for i in range(len(request.choices))]
        left, mailbox = threading.Event(), Mailbox.here()

        def work() -> None:
            def tell(item: list[Json] | BaseException | None) -> None:
                mailbox.leave(partial(said.put_nowait, item))

            try:
                for reply in replies:
                    if not left.is_set():
                        reply.write(self._model, inputs, tell, left)
                tell(None)
            except Exception as exc:  # handed to whoever asked
                tell(exc)

        writing = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            while (item := await said.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                for choice in item:
                    yield {"choices": [choice]}
            prompt, new = inputs["input_ids"].shape[1], sum(len(reply.sequence.output) for reply in replies)
            usage = {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}
            yield {"choices": [], "usage": usage}
        finally:
            left.set()  # it ends with the token it is at
            writing.add_done_callback(lambda _: self._turn.release())

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        raise InvalidRequest(f"Model '{model}' is run by transformers and gives no embeddings here.", param="model")

    async def aclose(self) -> None:
        async with self._turn:
            self._model = None

    def _reply(self, request: ChatRequest, index: int) -> "_Written":
        wish = request.choices[index]
        sequence = TokenSequence(request.prompt, wish, eos_ids=self._chat.eos_ids, guide=request.guide(self._grammars))
        return _Written(sequence, Reply(self._chat, index, request.stops, request.tools), self._grammars)

    def _read(self, body: Json) -> tuple[ChatRequest, dict[str, Tensor]]:
        """What is asked, and the model's inputs: token ids, and pixels where it sees."""
        if self._look is None:
            request = read(body, self._chat, self._grammars, self._context)
            ids = torch.tensor([request.prompt], device=self._model.device)
            return request, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        turns, images = _apart(body.get("messages") or [])
        request = read({**body, "messages": _words(turns)}, self._chat, self._grammars, self._context)
        text = self._look.apply_chat_template(turns, add_generation_prompt=True)
        inputs = self._look(text=[text], images=images or None, return_tensors="pt")
        floats = {name: t.to(self._model.dtype) if t.is_floating_point() else t for name, t in inputs.items()}
        return request, {name: tensor.to(self._model.device) for name, tensor in floats.items()}


class _Written:
    """One choice being written."""

    def __init__(self, sequence: TokenSequence, reply: Reply, grammars: Grammars) -> None:
        self.sequence, self._reply, self._grammars = sequence, reply, grammars

    def write(self, model: Any, inputs: Mapping[str, Tensor], tell: Any, left: threading.Event) -> None:
        """Run ``generate`` with our own choice of every token; ``tell`` gets the pieces of the answer."""
        tell([self._reply.start()])

        def chosen(ids: Tensor, scores: Tensor) -> Tensor:
            s = self.sequence
            allowed = self._grammars.allowed([s.guide])
            ((token, logprob),) = choose(scores, [s], allowed)
            s.append(token)
            if s.guide is not None:
                s.guide.accept(token)
                if s.guide.done and s.finish is None:
                    s.finish = Finish.STOP
            pieces = self._reply.push(token, logprob, s.finish)
            if self._reply.over:
                s.finish = Finish.STOP
            if pieces:
                tell(pieces)
            return torch.full_like(scores, float("-inf")).index_fill_(1, torch.tensor([token], device=ids.device), 0.0)

        def over(ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
            return torch.full((len(ids),), self.sequence.finish is not None or left.is_set(), device=ids.device)

        wish: Sampling = self.sequence.sampling
        with torch.inference_mode():
            model.generate(
                **inputs,
                max_new_tokens=wish.max_tokens,
                do_sample=False,
                logits_processor=[chosen],
                stopping_criteria=[over],
                eos_token_id=None,
                pad_token_id=0,
            )


def _apart(messages: Sequence[Json]) -> tuple[list[Json], list[Any]]:
    """Messages whose images are places only, as processors want them, and the images in order."""
    turns, images = [], []
    for message in messages:
        content, parts = message.get("content"), []
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
            if part.get("type") == "image_url":
                images.append(_picture(part["image_url"]))
                parts.append({"type": "image"})
            else:
                parts.append(part)
        turns.append({**message, "content": parts})
    return turns, images


def _words(turns: Sequence[Json]) -> list[Json]:
    return [{**turn, "content": [p for p in turn["content"] if p["type"] != "image"] or " "} for turn in turns]


def _picture(told: Any) -> Any:
    """The image of an ``image_url`` part. Only data: a server that fetches any address can be sent anywhere."""
    from PIL import Image, UnidentifiedImageError

    url = told.get("url") if isinstance(told, Mapping) else told
    if not isinstance(url, str) or not url.startswith("data:image/") or ";base64," not in url:
        raise ImageError("Images are sent as data: URLs in base64 to a model here.", param="messages")
    try:
        return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1], validate=True))).convert("RGB")
    except (ValueError, UnidentifiedImageError, OSError) as exc:
        raise ImageError(f"The image cannot be read: {exc}", param="messages") from exc
