"""Jobs as they lie in a store: queued, held by a process, and what was written of them."""

from hypotez.wire.fine_tuning import Base, new_job
from hypotez.worker import job_states
from hypotez.worker.training_journal import TrainingJournal, claim

AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto", "full": False}


def queued(store, project="default"):
    body, private = new_job(
        Base("pocket", "pocket", "/pocket"),
        project,
        {"training_file": "file-1", "suffix": "shop"},
        "supervised",
        AUTO,
        1,
    )
    with store.write() as tx:
        tx.documents.create(job_states.KIND, body, project=project, private=private)
        job = job_states.move(tx, body["id"], "queued", validated=True)
        job_states.enqueue(tx, job)
    return job


def journal_of(store, home, job, owner="me") -> TrainingJournal:
    item = claim(store, job.id, owner, concurrency=1, silence=15)
    assert item is not None
    return TrainingJournal(store, home, job, item)


def children(store, kind, job):
    with store.read() as tx:
        return [item.body for item in tx.documents.page(kind, parent=job.id, limit=100, order="asc").items]


def retrieved(store, job):
    with store.read() as tx:
        return tx.documents.get(job_states.KIND, job.id)
