"""Every knob with its default and its sentence. Read once, at the edge; passed on as plain values.

Sources, strongest first: arguments, ``HYPOTEZ_*`` in the environment (``HYPOTEZ_SERVER__PORT`` reaches
into a section), ``hypotez.toml`` in the current folder, ``hypotez.toml`` in the user's configuration
folder, the defaults below. ``OPENAI_API_KEY``/``OPENAI_BASE_URL`` are read too, as the official SDK
reads them: see ``Settings.upstream_chain``.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from hypotez import settings_faults
from hypotez.errors import SettingsError
from hypotez.settings_faults import PREFIX

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODELS = ["gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*", "ft:gpt-*"]


def configuration_files() -> list[Path]:
    """The places where ``hypotez.toml`` is looked for, weakest first."""
    return [Path(platformdirs.user_config_dir("hypotez")) / "hypotez.toml", Path("hypotez.toml")]


def is_address(url: str) -> bool:
    """Whether it can be the address of a server: http or https, and a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _address(url: str) -> str:
    if not is_address(url):
        raise ValueError("an address begins with http:// or https://, as http://localhost:11434/v1")
    return url


Address = Annotated[str, AfterValidator(_address)]


class Section(BaseModel):
    """A part of the settings; a name it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Upstream(Section):
    """One server elsewhere that speaks the same wire: OpenAI, Azure, vLLM, llama-server, Ollama."""

    base_url: Address = Field(description="Where it is, with its /v1.")
    api_key: SecretStr | None = Field(None, description="Its key; none for servers that ask for none.")
    models: list[str] = Field(["*"], description="Patterns (fnmatch) of the model names it serves.")
    timeout: float = Field(600.0, gt=0, description="Seconds without an answer before a request is given up.")


class Webhook(Section):
    """One server of the user's that is told how fine-tuning jobs ended."""

    url: Address = Field(description="Where the event is posted.")
    secret: SecretStr = Field(description="whsec_ and base64: signs what is sent, as Standard Webhooks.")


class ServerSettings(Section):
    """Where the server listens, and its limits in bytes and seconds."""

    host: str = Field("127.0.0.1", description="Address to listen on; off loopback an API key is required.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_key: SecretStr | None = Field(None, description="One key that opens everything; also HYPOTEZ_API_KEY.")
    max_upload: int = Field(512 * 1024**2, gt=0, description="Largest file accepted, in bytes.")
    run_seconds: int = Field(600, gt=0, description="Seconds after which a run that is not finished expires.")
    keep_events: float = Field(24 * 3600, gt=0, description="Seconds for which the stream of an ended run is kept.")


class EngineSettings(Section):
    """The model behind the server, and the room it may take in tokens and sequences."""

    model: str = Field("pocket", description="Default local model: a name, a folder or a Hugging Face repository.")
    backend: Literal["embedded", "vllm"] = Field(
        "embedded", description="Who computes the default model: the engine in this process, or vLLM."
    )
    vllm_url: Address | None = Field(None, description="A vLLM that runs already, with its /v1; unset: one is started.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="Weights in memory.")
    weights: Literal["full", "int8", "int4"] = Field(
        "full", description="Rounding of the weights: int8 and int4 take less memory, and less time for one stream."
    )
    device: str = Field("auto", description="auto, cpu or cuda.")
    cuda_graphs: bool = Field(
        True, description="Record steps on a GPU and play them back: quicker, with a pause at each new batch size."
    )
    threads: int | None = Field(None, ge=1, description="Threads for matrix products; unset: one per core.")
    max_batch: int = Field(32, ge=1, description="Sequences computed together in one step.")
    cache_tokens: int = Field(65536, ge=256, description="Tokens the KV cache holds, all sequences together.")
    adapter_slots: int = Field(64, ge=1, description="Tuned models of a base in memory at once; unused ones make way.")
    max_queue: int = Field(256, ge=1, description="Requests that may wait; one more gets 429 and Retry-After.")


class TrainingSettings(Section):
    """How many jobs train at once, and with how many threads."""

    concurrency: int = Field(1, ge=1, description="Fine-tuning jobs that run at once.")
    heartbeat_seconds: float = Field(15.0, gt=0, description="Silence after which a job counts as orphaned.")
    threads: int | None = Field(None, ge=1, description="Threads for a training process; unset: one per core.")


class GradingSettings(Section):
    """What graders may do, and how long in seconds."""

    python_seconds: float = Field(120.0, gt=0, description="Time that a Python grader has for one reply.")
    unconfined_python: bool = Field(
        False, description="Run Python graders where they cannot be confined, with all rights of the server."
    )


class TelemetrySettings(Section):
    """Where spans go."""

    endpoint: str | None = Field(None, description="OTLP collector that gets spans, such as http://localhost:4318.")


class AssistantIds(Section):
    """Ids of assistants by role; any role may be named."""

    model_config = ConfigDict(extra="allow")
    code_assistant: str | None = Field(None, description="Assistant used when none is named.")


class OpenAICredentials(Section):
    """Ids on OpenAI's wire."""

    assistant_id: AssistantIds = Field(default_factory=AssistantIds, description="Assistants by role.")


class Credentials(Section):
    """Ids that belong to the user."""

    openai: OpenAICredentials = Field(default_factory=OpenAICredentials, description="What belongs to OpenAI's wire.")


class Settings(BaseSettings):
    """All settings. ``Settings.load()`` reads every source and turns a fault into ``SettingsError``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", env_ignore_empty=True, validate_by_name=True
    )
    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("hypotez")),
        description="Folder of everything hypotez writes: database, files, models, dialogues.",
    )
    database: str | None = Field(None, description="SQLAlchemy URL; unset: SQLite in the home folder.")
    default_model: str = Field("gpt-4o-mini", description="Model of OpenAIModel and the command line.")
    aliases: dict[str, str] = Field(default_factory=dict, description="Names that stand for another model.")
    upstream: list[Upstream] = Field(default_factory=list, description="Servers elsewhere, first match wins.")
    webhooks: list[Webhook] = Field(default_factory=list, description="Who is told how fine-tuning jobs ended.")
    assistants_file: Path | None = Field(None, description="assistants.json; unset: in the home folder.")
    sentiment: Literal["classifier", "model"] = Field("classifier", description="Who judges a reply's sentiment.")
    server: ServerSettings = Field(default_factory=ServerSettings, description="The server.")
    engine: EngineSettings = Field(default_factory=EngineSettings, description="The embedded engine.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Fine-tuning.")
    grading: GradingSettings = Field(default_factory=GradingSettings, description="Graders.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="OpenTelemetry spans.")
    credentials: Credentials = Field(default_factory=Credentials, description="Ids that belong to the user.")
    api_key: SecretStr | None = Field(None, description="Key the server asks for and the class sends.")
    openai_api_key: SecretStr | None = Field(None, alias="OPENAI_API_KEY", description="OpenAI's own variable.")
    openai_base_url: Address | None = Field(None, alias="OPENAI_BASE_URL", description="OpenAI's own variable.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """pydantic-settings' hook; the order is the docstring's."""
        files = TomlConfigSettingsSource(settings_cls, toml_file=configuration_files())
        return init_settings, env_settings, files

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read every source. Raises ``SettingsError`` naming each wrong setting and where it stands."""
        settings_faults.look_for_strangers(cls)
        try:
            return cls(**values)
        except ValidationError as exc:
            faults = "; ".join(settings_faults.fault(cls, error, configuration_files()) for error in exc.errors())
            raise SettingsError(f"Wrong setting: {faults}. docs/settings.md lists them all.") from exc
        except UnreadableVariable as exc:
            raise settings_faults.unreadable_variable(exc) from exc
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise settings_faults.unreadable_file(exc, configuration_files()) from exc

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'hypotez.db'}"

    @property
    def assistants_path(self) -> Path:
        return self.assistants_file or self.home / "assistants.json"

    @property
    def dialogues(self) -> Path:
        return self.home / "AI"

    @property
    def models(self) -> Path:
        return self.home / "models"

    def upstream_chain(self) -> list[Upstream]:
        """Configured upstreams, then the one that OpenAI's own variables describe.

        With only a key, OpenAI's model names go to OpenAI; with a base URL, every name that is not local does.
        """
        chain = list(self.upstream)
        if self.openai_base_url:
            chain.append(Upstream(base_url=self.openai_base_url, api_key=self.openai_api_key))
        elif self.openai_api_key and self.openai_api_key.get_secret_value():
            chain.append(Upstream(base_url=OPENAI_URL, api_key=self.openai_api_key, models=OPENAI_MODELS))
        return chain


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
