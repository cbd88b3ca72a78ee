"""From any number of files to one checked training file (JSONL), in one pass and constant memory.

All faults of all files are found before anything is raised; nothing is uploaded that would be refused.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from hypotez.data import check, columns, examples, records, tokens
from hypotez.data.check import Complaint, Method, Report
from hypotez.data.records import Record, Source
from hypotez.errors import DataError, Fault, StorageError

_SHOWN = 100  # faults written out in the error's sentence; all of them are in ``faults``
_REMEMBERED = 1_000_000  # examples among which duplicates are looked for; beyond, memory would grow


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants of the data. ``method`` is told from the data when it is ``None``."""

    method: Method | None = None
    positive: bool = True
    system: str | None = None
    columns: Mapping[str, str] | None = None
    minimum: int = check.MINIMUM
    context_window: int | None = None


@dataclass(slots=True)
class Prepared:
    """A training file that is ready, and what was noticed on the way."""

    path: Path
    method: Method = Method.SUPERVISED
    n_examples: int = 0
    n_tokens: int = 0  # an estimate, one epoch
    longest: int = 0  # tokens
    warnings: list[Fault] = field(default_factory=list)
    prompts: dict[int, str] = field(default_factory=dict, repr=False)  # hash to file:line, to find leaks


def prepare(sources: Iterable[Source], target: Path, wishes: Wishes, *, not_in: Prepared | None = None) -> Prepared:
    """Read, check and convert ``sources`` into ``target``.

    ``not_in``: the training file whose questions should not return in this one. Raises ``DataError`` with every
    fault (file, line, field), ``StorageError`` when the file cannot be written.
    """
    reading = _Reading(wishes, not_in)
    try:
        with target.open("w", encoding="utf-8") as out:
            prepared = reading.write(sources, out, target)
    except OSError as exc:
        raise StorageError(f"{target}: the training file could not be written: {exc.strerror}.") from exc
    if reading.faults:
        target.unlink(missing_ok=True)
        raise DataError(_sentence(reading.faults), faults=reading.faults, hint=reading.hint)
    return prepared


def inspect(sources: Sequence[Source], wishes: Wishes) -> Report:
    """The same pass without a result: every fault and warning of the sources as a report, nothing raised."""
    reading = _Reading(wishes, None)
    with Path(os.devnull).open("w", encoding="utf-8") as out:
        prepared = reading.write(sources, out, Path(os.devnull))
    return Report(
        ", ".join(source.name for source in sources),
        prepared.method,
        prepared.n_examples,
        prepared.n_tokens,
        prepared.longest,
        reading.faults,
        prepared.warnings,
    )


class _Reading:
    """One pass over the sources: faults pile up here until all is read."""

    def __init__(self, wishes: Wishes, not_in: Prepared | None) -> None:
        self.wishes = wishes
        self.not_in = not_in
        self.faults: list[Fault] = []
        self.method = wishes.method
        self._decided_by = ""
        self._said: set[tuple[str, str]] = set()  # of whole files
        self._seen: dict[int, str] = {}
        self._roles: dict[tuple[str, ...], dict[str, columns.Role] | None] = {}
        self.hint: str | None = None

    def write(self, sources: Iterable[Source], out: TextIO, path: Path) -> Prepared:
        """Every sound example of the sources, one line each."""
        prepared, names = Prepared(path), list[str]()
        for source in sources:
            names.append(source.name)
            for record, example in self.examples(source):
                text = json.dumps(example)
                self.notice(prepared, record, example, text)
                out.write(text + "\n")
        prepared.method = self.method or Method.SUPERVISED
        if not self.faults and prepared.n_examples < self.wishes.minimum:
            all_of_them = names[0] if len(names) == 1 else f"{len(names)} files"
            self.faults.append(Fault(all_of_them, 0, None, check.too_few(prepared.n_examples, self.wishes.minimum)))
        return prepared

    def examples(self, source: Source) -> Iterator[tuple[Record, dict[str, Any]]]:
        """The sound examples of one source."""
        try:
            for record in records.read(source, self.faults.append):
                example = self._example(record)
                if example is not None:
                    yield record, example
        except DataError as exc:
            self.faults += exc.faults or [Fault(source.name, 0, None, exc.message)]
            self.hint = exc.hint

    def _example(self, record: Record) -> dict[str, Any] | None:
        complaints: list[Complaint] = []
        open_ended = self.wishes.method is Method.REINFORCEMENT
        example = examples.ready_made(record.fields)
        if example is None or open_ended:
            roles = self._recognise(record) if example is None else {}
            if roles is None:
                return None
            made = examples.open_ended if open_ended else examples.from_columns
            example, complaints = made(record.fields, roles)
        example = self._labelled(examples.with_system(example, self.wishes.system))
        if not complaints:
            complaints = self._complaints(record, example)
        if complaints and self._is_said(record, complaints[0]):
            return None
        self.faults += [Fault(record.file, record.line, c.field, c.message) for c in complaints]
        return None if complaints else example

    def _recognise(self, record: Record) -> dict[str, columns.Role] | None:
        """The roles of these keys; a set of keys that makes no example is complained about once per file."""
        key = (record.file, *record.fields)
        if key not in self._roles:
            self._roles[key] = None
            try:
                self._roles[key] = columns.recognise(
                    record.fields,
                    self.wishes.columns,
                    file=record.file,
                    answered=self.wishes.method is not Method.REINFORCEMENT,
                )
            except DataError as exc:
                self.hint = exc.hint
                self.faults += [
                    Fault(record.file, record.line, fault.field, fault.message)
                    for fault in exc.faults or [Fault(record.file, 0, None, exc.message)]
                ]
        return self._roles[key]

    def _labelled(self, example: dict[str, Any]) -> dict[str, Any]:
        """Plain conversations get the label that ``positive`` means, where the method asks for one."""
        unlabelled = check.shape_of(example) is Method.SUPERVISED
        wanted = self.wishes.method is Method.KTO or not self.wishes.positive
        return {**example, "label": self.wishes.positive} if unlabelled and wanted else example

    def _complaints(self, record: Record, example: dict[str, Any]) -> list[Complaint]:
        shape = check.shape_of(example)
        if self.method is None and shape is not None:
            self.method, self._decided_by = shape, f"{record.file}:{record.line}"
        elif shape is not self.method and self._decided_by:
            return [
                Complaint(None, f"a {shape} example, but {self._decided_by} is a {self.method} one; train them apart")
            ]
        if not self.wishes.positive and self.method not in (Method.KTO, None):
            return [Complaint(None, f"positive=False is for plain examples, this is a {shape} one")]
        return list(check.complaints_about(example, self.method or Method.SUPERVISED, record.file))

    def _is_said(self, record: Record, complaint: Complaint) -> bool:
        """Whether it is about the whole file, and was said of it: sixty lines of the same would hide the rest.

        In the file that decided the method, every example of another one is a fault of its own.
        """
        mixed = complaint.message.endswith("train them apart")
        if complaint.field is not None or (mixed and record.file == self._decided_by.rpartition(":")[0]):
            return False
        known = (record.file, complaint.message) in self._said
        self._said.add((record.file, complaint.message))
        return known

    def notice(self, prepared: Prepared, record: Record, example: dict[str, Any], text: str) -> None:
        """Count the example and note what deserves a warning."""
        n = tokens.of_example(example)
        prepared.n_examples += 1
        prepared.n_tokens += n
        prepared.longest = max(prepared.longest, n)
        place = f"{record.file}:{record.line}"
        warn = _warner(prepared.warnings, record)
        window = self.wishes.context_window
        if window and n > window:
            warn(f"about {n} tokens, more than the model's {window}: it is cut at the end")
        if "\\ufffd" in text:
            warn("holds the character U+FFFD: it was damaged by a wrong encoding before")
        prompt = hash(json.dumps(examples.prompt_of(example), sort_keys=True))
        if self.not_in and prompt in self.not_in.prompts:
            warn(f"the question is in the training data too ({self.not_in.prompts[prompt]})")
        if len(self._seen) < _REMEMBERED:
            prepared.prompts.setdefault(prompt, place)
            first = self._seen.setdefault(hash(text), place)
            if first != place:
                warn(f"the same as {first}")


def _warner(warnings: list[Fault], record: Record) -> Callable[[str], None]:
    return lambda message: warnings.append(Fault(record.file, record.line, None, message))


def _sentence(faults: list[Fault]) -> str:
    if len(faults) == 1:
        return f"{faults[0]}."
    more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return f"{len(faults)} faults in the training data:" + "".join(f"\n  {fault}" for fault in faults[:_SHOWN]) + more
