"""Threads and assistants in and out, in the public export format of the days when OpenAI switched its API off.

    manifest.json          {"export_schema": "assistants-export-manifest/v1", ...}
    assistants.json        the raw assistant objects, oldest first
    threads/<id>.json      {"export_schema": "assistants-thread-export/v1", "thread_id", "exported_at", "thread",
                            "messages" (oldest first), "runs" (each with its "steps"), "files" (metadata), "errors"}

Ids and times are kept, so ids in the user's own database stay valid. What was imported and not changed since is
exported the same to the byte.
"""

from hypotez.transfer.reading import Imported, read_export
from hypotez.transfer.writing import Exported, write_export

__all__ = ["Exported", "Imported", "read_export", "write_export"]
