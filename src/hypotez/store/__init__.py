"""The only room with SQL: documents, events, the work queue and blobs.

store = Store.open("sqlite:////home/me/.local/share/hypotez/hypotez.db", folder)
with store.write() as tx:                      # one transaction, committed at the end
    thread = tx.documents.create("thread", body)
    tx.events.append(thread.id, "thread.created", body)
with store.read() as tx:
    page = tx.documents.page("thread.message", parent=thread.id, limit=20)
"""

from hypotez.store.blobs import Blobs
from hypotez.store.document import Document
from hypotez.store.documents import Documents, Page
from hypotez.store.events import Event, Events
from hypotez.store.store import Store
from hypotez.store.transaction import Transaction
from hypotez.store.work import Work, WorkItem

__all__ = ["Blobs", "Document", "Documents", "Event", "Events", "Page", "Store", "Transaction", "Work", "WorkItem"]
