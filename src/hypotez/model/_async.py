"""``AsyncOpenAIModel``: ask, stream, run an assistant, describe images. Training is in ``_async_learning.py``.

Written by hand; ``_sync.py`` is generated from it by ``scripts/unasync.py``. Does nothing but call the SDK and
the pure modules beside it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from hypotez import images, sentiment
from hypotez.errors import InvalidRequest, ServerError
from hypotez.model import by_requests, exchange, retries, vision
from hypotez.model._async_learning import AsyncLearning
from hypotez.model.exchange import Exchange, Said
from hypotez.model.progress import count_bar
from hypotez.model.twins import async_apart, async_emit, async_forgiven, async_forgiving, async_gather, async_sleep

if TYPE_CHECKING:
    from openai.types.beta.threads import Run
    from pydantic import BaseModel

T = TypeVar("T")
_USAGE = {"include_usage": True}
_UNKNOWN_WINDOW = 8192  # tokens, for servers that do not tell


class AsyncOpenAIModel(AsyncLearning):
    """One model to talk to, that remembers what was said and learns from it.

        async with AsyncOpenAIModel(system_instruction="Answer briefly.") as model:
            print(await model.ask("What is the capital of France?"))

    With nothing configured it starts the embedded server on the built-in model; with ``api_key`` or
    ``OPENAI_API_KEY`` that server forwards OpenAI's models to OpenAI; with ``base_url`` it is a client of that
    server. ``client`` is used as it is. ``on_error='none'`` logs errors and returns ``None`` instead of raising.
    The SDK's own errors (``openai.AuthenticationError``, ...) pass through untouched.
    """

    @overload
    async def ask(
        self,
        message: str,
        system_instruction: str | None = None,
        attempts: int = 3,
        *,
        history: bool = False,
        stream: Literal[False] = False,
        on_token: Callable[[str], object] | None = None,
        **options: Any,
    ) -> str: ...

    @overload
    async def ask(
        self,
        message: str,
        system_instruction: str | None = None,
        attempts: int = 3,
        *,
        history: bool = False,
        stream: Literal[True],
        on_token: Callable[[str], object] | None = None,
        **options: Any,
    ) -> AsyncGenerator[str, None]: ...

    @async_forgiving(lambda: None)
    async def ask(
        self,
        message: str,
        system_instruction: str | None = None,
        attempts: int = 3,
        *,
        history: bool = False,
        stream: bool = False,
        on_token: Callable[[str], object] | None = None,
        **options: Any,
    ) -> str | AsyncGenerator[str, None]:
        """Send ``message``; the reply, which is in ``dialogue`` and on disk when this returns.

        ``system_instruction`` of ``None`` takes the model's own, ``""`` none. ``attempts`` counts tries of a request
        that failed for a passing reason. ``history=True`` sends the dialogue so far, cut to the context window;
        ``stream=True`` gives an iterator of pieces of text, and what was received is logged also when it is left
        early; ``on_token`` is called with each piece. ``options`` go into the request (``temperature``, ``seed``, ...).
        """
        question = exchange.begin(message, system_instruction, self.system_instruction, attempts)
        if history:
            await self._recall(question, options)
        if stream:
            return async_forgiven(self, self._stream(question, attempts, on_token, options))
        if on_token is None:
            return await self._log_exchange(question, await self._answer(question, attempts, options))
        reply = ""
        async for piece in self._stream(question, attempts, on_token, options):
            reply += piece
        return reply

    @async_forgiving(lambda: None)
    async def run(self, message: str) -> str:
        """The same through ``assistant`` and ``thread``: add the message, run the assistant, return its reply."""
        question = exchange.begin(message, "", "", attempts=1)
        client, assistant, thread = await self.client, await self.assistant, await self.thread
        await client.beta.threads.messages.create(thread.id, role="user", content=message)
        run = await client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        return await self._log_exchange(question, await self._run_reply(run))

    @async_forgiving(lambda: None)
    async def determine_sentiment(self, message: str) -> str:
        """``'positive'``, ``'negative'`` or ``'neutral'``, for English and Russian."""
        return await self._judge(message)

    @async_forgiving(lambda: None)
    async def describe_image(
        self,
        image_path: "images.Source",
        prompt: str | None = None,
        system_instruction: str | None = None,
        *,
        response_format: "type[BaseModel] | None" = None,
        attempts: int = 3,
    ) -> Any:
        """What is in an image: a path, a URL, bytes or a PIL image.

        The reply's text; a ``SimpleNamespace`` when the reply is a JSON object; with ``response_format`` that pydantic
        model. Raises ``ImageError`` for what is no image, before anything is sent.
        """
        return await self._describe(image_path, prompt, system_instruction, response_format, attempts)

    @async_forgiving(list)
    async def describe_images(
        self,
        image_paths: "Sequence[images.Source]",
        prompt: str | None = None,
        system_instruction: str | None = None,
        *,
        concurrency: int = 4,
        response_format: "type[BaseModel] | None" = None,
        progress: bool = True,
    ) -> list[Any]:
        """Many at once, ``concurrency`` side by side, results in the order of ``image_paths``."""
        if concurrency < 1:
            raise InvalidRequest(f"concurrency must be at least 1, not {concurrency}.", param="concurrency")
        with count_bar("images", len(image_paths), progress) as done:

            async def one(path: "images.Source") -> Any:
                described = await self.describe_image(path, prompt, system_instruction, response_format=response_format)
                done()
                return described

            return await async_gather([partial(one, path) for path in image_paths], concurrency)

    @async_forgiving(lambda: None)
    async def describe_image_by_requests(self, image_path: "images.Source", prompt: str | None = None) -> Any:
        """``describe_image`` by plain HTTP, without the SDK: the same reply and the same errors."""
        client = await self.client
        url = await async_apart(images.data_url, image_path)
        body = vision.request(self.model, url, prompt, self.system_instruction)
        text = await async_apart(by_requests.chat, str(client.base_url), client.api_key, body)
        return vision.meaning(text)

    async def _describe(
        self,
        image: "images.Source",
        prompt: str | None,
        system: str | None,
        response_format: "type[BaseModel] | None",
        attempts: int,
    ) -> Any:
        url = await async_apart(images.data_url, image)
        system = self.system_instruction if system is None else system
        body = vision.request(self.model, url, prompt, system, response_format)
        client = (await self.client).with_options(max_retries=0)
        answer = await self._tried(lambda: client.chat.completions.create(**body), attempts)
        return vision.meaning(exchange.said(answer).text, response_format)

    async def _answer(self, question: Exchange, attempts: int, options: dict[str, Any]) -> Said:
        client = (await self.client).with_options(max_retries=0)

        async def send() -> Any:
            body: Any = {"model": self.model, "messages": question.messages, **options}
            return await client.chat.completions.create(**body)

        return exchange.said(await self._shortened(question, send, attempts))

    async def _stream(
        self,
        question: Exchange,
        attempts: int,
        on_token: Callable[[str], object] | None,
        options: dict[str, Any],
    ) -> AsyncGenerator[str, None]:
        client = (await self.client).with_options(max_retries=0)

        async def send() -> Any:
            body: Any = {"model": self.model, "messages": question.messages, **options}
            return await client.chat.completions.create(**{"stream_options": _USAGE, **body, "stream": True})

        reply = Said()
        chunks = await self._shortened(question, send, attempts)
        try:
            async for chunk in chunks:
                piece = reply.add(chunk)
                if piece and on_token is not None:
                    await async_emit(on_token, piece)
                if piece:
                    yield piece
            reply.whole = True
        finally:
            await chunks.close()
            if reply.text or reply.whole:
                await self._log_exchange(question, reply)

    async def _tried(self, call: Callable[[], Awaitable[T]], attempts: int) -> T:
        """The call's result, tried again where the failure is a passing one. The SDK's own retries are off."""
        from openai import APIError

        attempt = 1
        while True:
            try:
                return await call()
            except APIError as exc:
                seconds = retries.delay(exc, attempt, attempts)
                if seconds is None:
                    raise
                await async_sleep(seconds)
                attempt += 1

    async def _shortened(self, question: Exchange, call: Callable[[], Awaitable[T]], attempts: int) -> T:
        """The call's result; a dialogue that turns out too long for the model is halved until it fits."""
        from openai import BadRequestError

        while True:
            try:
                return await self._tried(call, attempts)
            except BadRequestError as exc:
                if exc.code != "context_length_exceeded" or not question.before:
                    raise
                question.before = question.before[len(question.before) // 4 * 2 + 2 :]

    async def _recall(self, question: Exchange, options: dict[str, Any]) -> None:
        """Let the question bring the dialogue so far."""
        reply = options.get("max_completion_tokens") or options.get("max_tokens")
        window = await self._context_window()
        question.before = exchange.cut(exchange.earlier(self.dialogue), question, window, reply)

    async def _context_window(self) -> int:
        """Tokens the model can hold, as the server tells; a modest guess where it does not."""
        _, told = await self._told()
        return int(told.get("context_window") or _UNKNOWN_WINDOW)

    async def _log_exchange(self, question: Exchange, reply: Said) -> str:
        self._remember(question.entries(reply, await self._mood(reply.text)))
        return reply.text

    async def _mood(self, text: str) -> str:
        """The sentiment; a judge that does not answer must not cost the reply."""
        from openai import OpenAIError

        try:
            return await self._judge(text)
        except OpenAIError:
            return sentiment.determine_sentiment(text)

    async def _judge(self, text: str) -> str:
        if self.settings.sentiment == "classifier":
            return sentiment.determine_sentiment(text)
        client = await self.client
        messages, form = sentiment.question(text)
        body: Any = {"model": self.model, "messages": messages, "response_format": form, "temperature": 0}
        judged = await client.chat.completions.create(**body)
        return sentiment.read(judged.choices[0].message.content) or sentiment.determine_sentiment(text)

    async def _run_reply(self, run: "Run") -> Said:
        if run.status != "completed":
            reason = run.last_error.message if run.last_error else f"its status is {run.status}"
            raise ServerError(f"Run {run.id} gave no reply: {reason}.")
        client = await self.client
        texts = [
            part.text.value
            async for message in client.beta.threads.messages.list(run.thread_id, run_id=run.id, order="asc")
            for part in message.content
            if part.type == "text"
        ]
        usage = exchange.counts(run.usage) if run.usage else None
        return Said("\n".join(texts), model=run.model, usage=usage, whole=True)
