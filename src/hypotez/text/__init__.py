"""Messages to token ids and back: chat templates, loss masks, tool-call formats, incremental text.

    chat = Chat.open("path/to/model")
    ids = chat.encode([{"role": "user", "content": "Hello"}])
    ids, mask = chat.train_example(messages)
    stream = chat.stream(); stream.push(token_id); stream.flush()

Knows no torch, no HTTP and no SQL.
"""

from hypotez.text.chat import Chat
from hypotez.text.messages import Json
from hypotez.text.stream import Stream
from hypotez.text.template import CHATML, Template
from hypotez.text.tools import Call, ToolCalls, ToolFormat

__all__ = ["CHATML", "Call", "Chat", "Json", "Stream", "Template", "ToolCalls", "ToolFormat"]
