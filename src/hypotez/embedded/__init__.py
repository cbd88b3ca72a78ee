"""The server put together: inside this process on a loopback port (``start``), or on its own (``serve``).

    server = start(Settings.load())
    client = OpenAI(base_url=server.base_url, api_key=server.api_key)
    server.close()

Training jobs go on when it closes. Importing this imports neither torch nor fastapi.
"""

from hypotez.embedded.alone import serve
from hypotez.embedded.inside import Embedded, start

__all__ = ["Embedded", "serve", "start"]
