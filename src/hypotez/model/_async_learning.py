"""The half of ``AsyncOpenAIModel`` that learns: training data, jobs, dialogues turned into a better model."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from hypotez.data import source
from hypotez.data.check import MINIMUM, Method
from hypotez.data.forecast import Forecast
from hypotez.data.prepare import Prepared, Wishes, prepare
from hypotez.dialogue import dataset, saved
from hypotez.errors import InvalidRequest, NotFound
from hypotez.model import forecasts, job_ids, jobs
from hypotez.model._async_session import AsyncSession
from hypotez.model.jobs import Job
from hypotez.model.progress import job_bar
from hypotez.model.trial import Answers, Trial, losses
from hypotez.model.twins import async_apart, async_forgiving, async_gather, async_sleep

Auto = Literal["auto"]

_SECONDS = 0.5  # between two looks at a job
_MOST_COMPARED = 8  # held-out questions that both models answer
_logger = logging.getLogger("hypotez.model")


class AsyncLearning(AsyncSession):
    """Training and jobs. Not for use by itself."""

    last_trial: Trial | None = None  # what the latest ``dynamic_train(wait=True)`` found

    @async_forgiving(lambda: None)
    async def train(
        self,
        data: source.PathLike | None = None,
        data_dir: source.PathLike | None = None,
        data_file: source.PathLike | None = None,
        positive: bool = True,
        *,
        validation: source.PathLike | None = None,
        method: str | None = None,
        grader: Mapping[str, Any] | None = None,
        suffix: str | None = None,
        n_epochs: int | Auto | None = None,
        batch_size: int | Auto | None = None,
        learning_rate_multiplier: float | Auto | None = None,
        beta: float | Auto | None = None,
        seed: int | None = None,
        columns: Mapping[str, str] | None = None,
        encoding: str | None = None,
        dry_run: bool = False,
        wait: bool = False,
        progress: bool = True,
    ) -> str | Forecast:
        """Fine-tune on questions and answers; the job's id, also in ``current_job_id``.

        ``data`` is a path or CSV text, ``data_dir`` a folder, ``data_file`` a file: CSV, TSV, JSON, JSONL, Parquet,
        XLSX or Markdown. ``positive=False``: these are answers not to give. ``method`` (supervised, dpo, kto) is told
        from the data when it is not named. With a ``grader`` (one of OpenAI's, as a dictionary) it is reinforcement:
        the file holds prompts, and its other columns are the grader's ``{{ item.column }}``. ``columns`` names the
        columns where they are not recognised. Examples without a system message get this model's
        ``system_instruction``. ``dry_run=True`` reads and checks, sends no data, and returns a ``Forecast``.
        ``wait=True`` returns when the job has succeeded. Raises ``DataError`` with every fault.
        """
        wishes = Wishes(
            method=jobs.graded_method(method, grader, positive),
            positive=positive,
            system=self.system_instruction or None,
            columns=columns,
        )
        hyperparameters = {
            "n_epochs": n_epochs,
            "batch_size": batch_size,
            "learning_rate_multiplier": learning_rate_multiplier,
            "beta": beta,
        }
        sources = source.find(data, data_dir, data_file, encoding=encoding)
        with tempfile.TemporaryDirectory(prefix="hypotez-") as folder:
            training = await async_apart(prepare, sources, Path(folder) / "training.jsonl", wishes)
            held_out = None
            if validation is not None:
                found = source.find(data_file=validation, encoding=encoding)
                measured = replace(wishes, minimum=1, method=training.method)
                target = Path(folder) / "validation.jsonl"
                held_out = await async_apart(prepare, found, target, measured, not_in=training)
            _warn([*training.warnings, *(held_out.warnings if held_out else [])])
            if dry_run:
                return await self._forecast(training, n_epochs)
            return await self._start(training, held_out, hyperparameters, suffix, seed, wait, progress, grader)

    @async_forgiving(lambda: None)
    async def dynamic_train(
        self,
        *,
        dialogues: Iterable[source.PathLike] | None = None,
        exclude: Sequence[str] = (),
        holdout: float = 0.1,
        method: str | None = None,
        suffix: str | None = None,
        n_epochs: int | Auto | None = None,
        batch_size: int | Auto | None = None,
        learning_rate_multiplier: float | Auto | None = None,
        beta: float | Auto | None = None,
        seed: int | None = None,
        dry_run: bool = False,
        wait: bool = False,
        progress: bool = True,
    ) -> str | Forecast | None:
        """Learn from this dialogue and the saved ones, by marks and sentiment; the job's id.

        ``None``, with a message in the log, when there is nothing to learn from. ``dialogues`` are files or folders to
        read instead of the saved ones; ``exclude`` are patterns of file names to leave out; ``holdout`` is the share
        of dialogues kept apart. With ``wait=True`` the tuned model then answers the held-out questions beside the
        old one: ``model`` becomes the tuned one if it is better (``last_trial`` says why). A job takes ten examples:
        fewer are repeated until there are ten.
        """
        found = dataset.exchanges(await async_apart(self._dialogues, dialogues, exclude))
        learnt, held_out = dataset.split(found, holdout)
        made = dataset.dataset(learnt, jobs.method(method))
        if not made.examples:
            _logger.warning("There is nothing to learn from: %s", _why_nothing(found, made))
            return None
        if made.unused:
            _logger.warning("%d exchanges have no place in method='%s' and are not used.", made.unused, made.method)
        hyperparameters = {
            "n_epochs": n_epochs,
            "batch_size": batch_size,
            "learning_rate_multiplier": learning_rate_multiplier,
            "beta": beta,
        }
        with tempfile.TemporaryDirectory(prefix="hypotez-") as folder:
            wishes = Wishes(method=Method(made.method))
            training = _written(dataset.repeated(made.examples, MINIMUM), Path(folder) / "dialogues.jsonl", wishes)
            unseen = dataset.dataset(held_out, made.method).examples
            validation = None
            if unseen:
                validation = _written(unseen, Path(folder) / "held_out.jsonl", replace(wishes, minimum=1))
            if dry_run:
                return await self._forecast(training, n_epochs)
            job_id = await self._start(training, validation, hyperparameters, suffix, seed, wait, progress)
        if wait:
            await self._try_out(job_id, held_out)
        return job_id

    def mark(
        self,
        index: int,
        sentiment: Literal["positive", "negative", "neutral", "exclude"],
        *,
        better: str | None = None,
    ) -> None:
        """Judge the answer at ``dialogue[index]``; ``better`` is what it should have been. Saved at once."""
        if sentiment not in dataset.MARKS:
            raise InvalidRequest(f"A mark is one of {', '.join(dataset.MARKS)}, not {sentiment!r}.", param="sentiment")
        if not -len(self.dialogue) <= index < len(self.dialogue):
            raise InvalidRequest(f"There is no entry {index}: the dialogue has {len(self.dialogue)}.", param="index")
        entry = self.dialogue[index]
        if entry["role"] != "assistant":
            raise InvalidRequest(f"Entry {index} is from the {entry['role']}; mark an answer.", param="index")
        if better is not None and not better.strip():
            raise InvalidRequest("The better answer is empty.", param="better")
        entry.pop("better", None)
        entry |= {"mark": sentiment} if better is None else {"mark": sentiment, "better": better}
        self._save_dialogue()

    @async_forgiving(lambda: None)
    async def job(self, job_id: str | None = None) -> Job:
        """Status, progress, losses and events of a job, by default the latest one."""
        return await self._look(self._job_id(job_id))

    @async_forgiving(lambda: None)
    async def wait(self, job_id: str | None = None, *, progress: bool = True, poll_seconds: float = _SECONDS) -> Job:
        """The job once it has succeeded, with a bar and the loss meanwhile. Raises ``JobFailed``.

        Leaving early (Ctrl-C) leaves the job running.
        """
        job_id = self._job_id(job_id)
        with job_bar(progress) as draw:
            while True:
                found = await self._look(job_id)
                draw(found)
                if found.ended:
                    return jobs.succeeded(found)
                await async_sleep(poll_seconds)

    @async_forgiving(lambda: None)
    async def cancel(self, job_id: str | None = None) -> Job:
        """Ask a job to stop, by default the latest one."""
        job_id = self._job_id(job_id)
        client = await self.client
        await client.fine_tuning.jobs.cancel(job_id)
        return await self._look(job_id)

    def save_job_id(self, job_id: str, description: str, filename: source.PathLike = "job_ids.json") -> Path:
        """Append ``{id, description, created}`` to a JSON list, safe with many writers; the file's path.

        A relative name lies in the data folder (``HYPOTEZ_HOME``).
        """
        path = self.settings.home / filename
        job_ids.append(path, job_id, description)
        return path

    def _job_id(self, job_id: str | None) -> str:
        chosen = job_id or self.current_job_id
        if chosen is None:
            raise NotFound("No job was started by this model; pass its id.", param="job_id")
        return chosen

    async def _look(self, job_id: str) -> Job:
        client = await self.client
        raw = await client.fine_tuning.jobs.retrieve(job_id)
        events = await client.fine_tuning.jobs.list_events(job_id, limit=100)
        return jobs.job(raw, events.data)

    async def _start(
        self,
        training: Prepared,
        validation: Prepared | None,
        hyperparameters: Mapping[str, Any],
        suffix: str | None,
        seed: int | None,
        wait: bool,
        progress: bool,
        grader: Mapping[str, Any] | None = None,
    ) -> str:
        client = await self.client
        body: dict[str, Any] = {"model": self.model, "training_file": await self._upload(training.path)}
        if validation is not None:
            body["validation_file"] = await self._upload(validation.path)
        body["method"] = jobs.method_body(training.method, grader, **hyperparameters)
        body |= {key: value for key, value in {"suffix": suffix, "seed": seed}.items() if value is not None}
        made = await client.fine_tuning.jobs.create(**body)
        self.current_job_id = made.id
        if wait:
            await self.wait(made.id, progress=progress)
        return made.id

    async def _upload(self, path: Path) -> str:
        client = await self.client
        made = await client.files.create(file=path, purpose="fine-tune")
        return made.id

    async def _forecast(self, training: Prepared, n_epochs: int | Auto | None) -> Forecast:
        """The forecast, with the speed of the latest job on this model where there was one."""
        epochs = None if n_epochs in (None, "auto") else int(n_epochs)
        client = await self.client
        earlier = await client.fine_tuning.jobs.list(limit=50)
        name, told = await self._told()
        speed = forecasts.speed(earlier.data, name)
        return await async_apart(forecasts.of, training, epochs, speed, told)

    def _dialogues(self, given: Iterable[source.PathLike] | None, exclude: Sequence[str]) -> list[saved.Dialogue]:
        """This dialogue and the saved ones; this one's own file is not read again."""
        own = self._dialogue_log().path.resolve()
        folders = [self.settings.dialogues] if given is None else [Path(path) for path in given]
        legacy = [self.settings.home / name for name in ("dialogue.json", "dailogue.json")] if given is None else []
        paths = saved.find(path for path in [*folders, *legacy] if path.exists())
        kept = [
            path
            for path in paths
            if path.resolve() != own and not any(fnmatch(path.name, p) or fnmatch(str(path), p) for p in exclude)
        ]
        return [*saved.read(kept), saved.Dialogue(str(own), self.dialogue)]

    async def _try_out(self, job_id: str, held_out: Sequence[dataset.Exchange]) -> None:
        """Let both models answer the held-out questions; use the better one from here on."""
        job = await self._look(job_id)
        if job.fine_tuned_model is None:
            return
        before, after = await self._held_out_losses(job_id)
        asked = list(held_out)[:_MOST_COMPARED]
        old = await self._answers(self.model, asked)
        new = await self._answers(job.fine_tuned_model, asked)
        answers = [
            Answers(each.question, each.better or each.reply, *said)
            for each, *said in zip(asked, old, new, strict=True)
            if each.good or each.better
        ]
        self.last_trial = Trial(self.model, job.fine_tuned_model, answers, before, after)
        _logger.info("%s", self.last_trial)
        if self.last_trial.better:
            self.model = job.fine_tuned_model

    async def _held_out_losses(self, job_id: str) -> tuple[float | None, float | None]:
        client = await self.client
        newest_first = [event async for event in client.fine_tuning.jobs.list_events(job_id, limit=100)]
        return losses([event.data for event in newest_first[::-1] if isinstance(event.data, dict)])

    async def _answers(self, model: str, asked: Sequence[dataset.Exchange]) -> list[str]:
        client = await self.client

        def question(each: dataset.Exchange) -> Callable[[], Any]:
            async def answer() -> str:
                messages: Any = list(each.prompt)
                answer = await client.chat.completions.create(model=model, messages=messages, temperature=0)
                return answer.choices[0].message.content or ""

            return answer

        return await async_gather([question(each) for each in asked], 4)


def _written(examples: Sequence[dict[str, Any]], path: Path, wishes: Wishes) -> Prepared:
    """Examples that are made already, through the same checks as a user's file."""
    draft = path.with_suffix(".draft.jsonl")
    draft.write_text("".join(json.dumps(example) + "\n" for example in examples), encoding="utf-8")
    return prepare(source.find(data_file=draft), path, wishes)


def _warn(warnings: Sequence[object]) -> None:
    shown = 20
    for warning in warnings[:shown]:
        _logger.warning("%s", warning)
    if len(warnings) > shown:
        _logger.warning("and %d more warnings about the training data", len(warnings) - shown)


def _why_nothing(found: Sequence[object], made: dataset.Dataset) -> str:
    if not found:
        return "no dialogue has an answer yet. Ask something first."
    return f"none of the {len(found)} answers fits method='{made.method}'. Mark answers with model.mark(...)."
