"""A job as a run of Weights & Biases: live where a key and the network are, else kept on disk for ``wandb sync``."""

import netrc
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

SERVER = "https://api.wandb.ai"
PATIENCE = 3.0  # seconds for the server to be reached
_QUIET = {  # nothing of this machine but the metrics
    "console": "off",
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "disable_job_creation": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
}


class WeightsAndBiases:
    """``wanted`` is the integration's ``wandb`` object."""

    name = "Weights & Biases"

    def __init__(self, wanted: Json, job: str, model: str, home: Path) -> None:
        self._wanted, self._job, self._model, self._home = wanted, job, model, home
        self._run: Any = None

    def open(self) -> str:
        """Begin the run, one for the whole job: a process that goes on with the job goes on with its run."""
        os.environ["WANDB_ERROR_REPORTING"] = "false"
        import wandb

        why = offline_because(os.environ)
        known = {name: value for name, value in _QUIET.items() if name in wandb.Settings.model_fields}
        self._home.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self._wanted["project"],
            name=self._wanted.get("name") or self._job,
            entity=self._wanted.get("entity"),
            tags=[*(self._wanted.get("tags") or []), "hypotez/finetune", f"hypotez/{self._model}"[:64], self._job],
            id=self._job,
            resume=None if why else "allow",
            dir=str(self._home),
            config={"model": self._model, "job": self._job},
            settings=wandb.Settings(mode="offline" if why else "online", **known),
        )
        if not why:
            return f"to {self._run.url}"
        place = Path(self._run.settings.sync_dir)
        return f"in {place} ({why}); send them later: wandb sync '{place}'"

    def hyperparameters(self, resolved: Mapping[str, float]) -> None:
        self._run.config.update(dict(resolved), allow_val_change=True)

    def metrics(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def offline_because(environment: Mapping[str, str]) -> str:
    """Why nothing can be sent, or nothing when it can."""
    mode, server = environment.get("WANDB_MODE"), urlsplit(environment.get("WANDB_BASE_URL") or SERVER)
    if mode not in (None, "", "online", "shared"):
        return f"WANDB_MODE is {mode}"
    if not environment.get("WANDB_API_KEY") and not _has_login(server.hostname or ""):
        return "offline: there is no WANDB_API_KEY"
    try:
        port = server.port or (80 if server.scheme == "http" else 443)
        socket.create_connection((server.hostname or "", port), PATIENCE).close()
    except OSError as exc:
        return f"offline: {server.hostname} cannot be reached, {exc}"
    return ""


def _has_login(host: str) -> bool:
    """Whether ``wandb login`` left a key."""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
