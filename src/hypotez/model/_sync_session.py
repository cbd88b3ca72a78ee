"""The connection under ``OpenAIModel``: client, models, assistants, thread, the dialogue on disk.

Constructing does no work. Whatever may talk to the server is fetched on first use and fetched
(``model.thread``); the generated twin reads as plain attributes (``model.thread``).
"""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from hypotez.dialogue.log import DialogueLog
from hypotez.errors import InvalidRequest, NotFound
from hypotez.model import assistants_file
from hypotez.model.twins import Listing, Lock, apart, forgiving

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.beta import Assistant, Thread

    from hypotez.settings import Settings


class Session:
    """What every part of the class shares. Not for use by itself."""

    def __init__(
        self,
        system_instruction: str | None = None,
        model_name: str = "gpt-4o-mini",
        assistant_id: str | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        settings: "Settings | None" = None,
        client: "OpenAI | None" = None,
        dialogue_log_path: Path | str | None = None,
        on_error: Literal["raise", "none"] = "raise",
    ) -> None:
        if on_error not in ("raise", "none"):
            raise InvalidRequest(f"on_error must be 'raise' or 'none', not {on_error!r}.", param="on_error")
        self.system_instruction = system_instruction
        self.model = model_name
        self.on_error = on_error
        self.current_job_id: str | None = None
        self.dialogue: list[dict[str, Any]] = []
        self._settings = settings
        self._api_key, self._base_url = api_key, base_url
        self._client = client
        self._own_client = client is None
        self._server: Any = None
        self._lock = Lock()
        self._assistant_id = assistant_id
        self._assistant: Assistant | None = None
        self._thread: Thread | None = None
        self._models: list[str] | None = None
        self._begun = datetime.now().astimezone()
        self._log: DialogueLog | None = None
        if dialogue_log_path is not None:
            self._log = DialogueLog(dialogue_log_path)
            self.dialogue = self._log.load()

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """The same as constructing, and everything loaded at once: models, assistant, thread."""
        model = cls(*args, **kwargs)
        try:
            model._load()
        except BaseException:
            model.close()
            raise
        return model

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the client and the embedded server. Safe to call twice; training goes on by itself."""
        if self._log is not None:
            self._log.close()
        client, server = self._client, self._server
        if self._own_client:
            self._client = self._server = None
            if client is not None:
                client.close()
            if server is not None:
                apart(server.close)

    def _load(self) -> "tuple[list[str], Assistant, Thread]":
        return self.models_list, self.assistant, self.thread

    @property
    def settings(self) -> "Settings":
        """Settings given, or read from the environment and ``hypotez.toml`` on first use."""
        if self._settings is None:
            from hypotez.settings import Settings

            self._settings = Settings.load()
        return self._settings

    @property
    def client(self) -> "OpenAI":
        """The official SDK's client, on the server given or on the embedded one, which starts here."""
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> "OpenAI":
        from openai import OpenAI

        settings = self.settings
        if self._base_url is not None:
            from hypotez.settings import is_address

            if not is_address(self._base_url):
                what = f"{self._base_url!r} is no address of a server; one looks like http://127.0.0.1:8000/v1."
                raise InvalidRequest(what, param="base_url")
            known = [key.get_secret_value() for key in (settings.api_key, settings.openai_api_key) if key]
            return OpenAI(base_url=self._base_url, api_key=self._api_key or next(iter(known), "none"))
        from hypotez import embedded

        self._server = apart(embedded.start, settings, upstream=self._upstream())
        return OpenAI(base_url=self._server.base_url, api_key=self._server.api_key)

    def _upstream(self) -> Any:
        """The upstream that ``api_key=`` alone means: OpenAI, or whatever ``OPENAI_BASE_URL`` says."""
        if self._api_key is None:
            return None
        from pydantic import SecretStr

        from hypotez.settings import OPENAI_MODELS, OPENAI_URL, Upstream

        elsewhere = self.settings.openai_base_url
        models = ["*"] if elsewhere else OPENAI_MODELS
        return Upstream(base_url=elsewhere or OPENAI_URL, api_key=SecretStr(self._api_key), models=models)

    @property
    def models_list(self) -> list[str]:
        """Model IDs, as they were when first asked for; ``list_models`` asks again."""
        if self._models is None:
            self._models = self._fetch_models()
        return self._models

    @property
    def list_models(self) -> Listing:
        """The model IDs the server has now, a ``list[str]``; property and method alike."""
        return Listing(self._list_models)

    @forgiving(list)
    def _list_models(self) -> list[str]:
        self._models = self._fetch_models()
        return list(self._models)

    def _fetch_models(self) -> list[str]:
        client = self.client
        return [model.id for model in client.models.list()]

    def _told(self) -> tuple[str, dict[str, Any]]:
        """The model behind the name in use, and what the server says about it beyond OpenAI's fields."""
        from openai import APIStatusError

        client, name, told = self.client, self.model, dict[str, Any]()
        for _ in range(3):  # an alias of an alias is already odd
            try:
                told = getattr(client.models.retrieve(name), "hypotez", None) or {}
            except APIStatusError:  # a server that lists no models may still answer
                break
            if "alias_of" not in told:
                break
            name = told["alias_of"]
        return name, told

    @property
    def assistants(self) -> list[SimpleNamespace]:
        """The assistants of ``assistants.json``."""
        return assistants_file.load(self.settings.assistants_path)

    @property
    def list_assistants(self) -> Listing:
        """Names from ``assistants.json`` and from the server, each once; property and method alike."""
        return Listing(self._list_assistants)

    @forgiving(list)
    def _list_assistants(self) -> list[str]:
        names = [entry.name for entry in self.assistants]
        client = self.client
        names += [each.name or each.id for each in client.beta.assistants.list(limit=100)]
        return list(dict.fromkeys(names))

    @property
    def assistant(self) -> "Assistant":
        """The assistant in use: the one given, the settings' one, or the first of ``assistants.json``."""
        if self._assistant is None:
            self._assistant = self._load_assistant()
            self._assistant_id = self._assistant.id
        return self._assistant

    @property
    def assistant_id(self) -> str:
        """Its id."""
        return self._assistant_id or (self.assistant).id

    @forgiving(lambda: None)
    def set_assistant(self, assistant_id: str) -> None:
        """Use another assistant. Raises ``NotFound`` for an unknown id; the current one then stays."""
        self._assistant = self._retrieve_assistant(assistant_id)
        self._assistant_id = assistant_id

    def _retrieve_assistant(self, assistant_id: str) -> "Assistant":
        from openai import NotFoundError

        if not assistant_id:
            raise NotFound("The assistant's id is empty.", param="assistant_id")
        client = self.client
        try:
            return client.beta.assistants.retrieve(assistant_id)
        except NotFoundError as exc:
            raise NotFound(
                f"No assistant found with id '{assistant_id}'.", param="assistant_id", hint="See list_assistants."
            ) from exc

    def _load_assistant(self) -> "Assistant":
        if self._assistant_id is not None:
            return self._retrieve_assistant(self._assistant_id)
        configured = self.settings.credentials.openai.assistant_id.code_assistant
        if configured is not None:
            try:
                return self._retrieve_assistant(configured)
            except NotFound:  # another server: create it there
                pass
        entry = self._default_entry()
        client = self.client
        for each in client.beta.assistants.list(limit=100):
            if each.name == entry.name:
                return each
        return client.beta.assistants.create(**assistants_file.body(entry, self.model))

    def _default_entry(self) -> SimpleNamespace:
        known = self.assistants
        if not known:
            raise NotFound(f"{self.settings.assistants_path} names no assistant.", hint="Add one, or give an id.")
        return next((entry for entry in known if entry.name == assistants_file.DEFAULT), known[0])

    @property
    def thread(self) -> "Thread":
        """The conversation thread, created on first use."""
        if self._thread is None:
            client = self.client
            self._thread = client.beta.threads.create()
        return self._thread

    @property
    def dialogue_log_path(self) -> Path:
        """Where the dialogue is saved; one file per instance."""
        return self._dialogue_log().path

    def _dialogue_log(self) -> DialogueLog:
        if self._log is None:
            name = re.sub(r"[^\w.\-]+", "_", self.model)
            self._log = DialogueLog(self.settings.dialogues / f"{name}_{self._begun:%Y-%m-%d_%H-%M-%S_%f}.json")
        return self._log

    def _save_dialogue(self) -> None:
        """Write the whole dialogue. Raises ``StorageError``; what was said stays in ``dialogue`` and in the file."""
        self._dialogue_log().save(self.dialogue, changed=True)

    def _remember(self, entries: Sequence[dict[str, Any]]) -> None:
        """Add entries to the dialogue and to its file, at the cost of the entries alone."""
        self.dialogue.extend(entries)
        self._dialogue_log().save(self.dialogue)
