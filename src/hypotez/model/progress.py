"""Bars on the terminal: a job with its loss, images one by one. Shows; decides nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypotez.model.jobs import Job


@contextmanager
def job_bar(shown: bool) -> Iterator[Callable[[Job], None]]:
    """A function that draws the job's state; it draws nothing when not ``shown``."""
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("training", total=1, loss="")

        def draw(job: Job) -> None:
            losses = {"loss": job.train_loss, "validation": job.valid_loss}
            text = ", ".join(f"{name} {value:.3f}" for name, value in losses.items() if value is not None)
            total = job.total_steps or 1
            done = total if job.status == "succeeded" else job.step or 0
            progress.update(task, description=job.status, completed=done, total=total, loss=text)

        yield draw


@contextmanager
def count_bar(description: str, total: int, shown: bool) -> Iterator[Callable[[], None]]:
    """A function to call once per thing that is done."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total)
        yield lambda: progress.advance(task)
