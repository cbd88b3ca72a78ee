"""What the Assistants API is compared with: FastAPI and one SQLite table, and nothing else.

    python bench/_bare.py FILE PORT

The same durability as the store's (WAL, synchronous NORMAL), a validated body, a listing by key.
"""

import json
import secrets
import sqlite3
import sys
import time

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
database = sqlite3.connect(sys.argv[1], check_same_thread=False, isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=NORMAL")
database.execute(
    "CREATE TABLE IF NOT EXISTS messages (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, thread TEXT, body TEXT)"
)
database.execute("CREATE INDEX IF NOT EXISTS by_thread ON messages (thread, seq)")


class Message(BaseModel):
    role: str
    content: str


@app.post("/threads/{thread}/messages")
async def create(thread: str, message: Message) -> dict:
    body = {"id": f"msg_{secrets.token_hex(12)}", "created_at": int(time.time()), **message.model_dump()}
    database.execute("INSERT INTO messages (id, thread, body) VALUES (?, ?, ?)", (body["id"], thread, json.dumps(body)))
    return body


@app.get("/threads/{thread}/messages")
async def page(thread: str) -> dict:
    rows = database.execute("SELECT body FROM messages WHERE thread = ? ORDER BY seq DESC LIMIT 21", (thread,))
    items = [json.loads(body) for (body,) in rows]
    return {"object": "list", "data": items[:20], "has_more": len(items) > 20}


if __name__ == "__main__":
    print("ready", flush=True)
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", loop="asyncio", http="httptools", access_log=False)
