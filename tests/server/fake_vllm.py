"""What vLLM's server does as far as we use it: models, adapters at run time, streamed chat. ``vllm serve MODEL ...``

Answers with the name that was asked, where its weights lie and how often adapters were loaded; refuses unknown names.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def option(name: str, default: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


BASE, FOLDER = option("--served-model-name", "joined"), sys.argv[2]
MODELS, LOADS = {BASE: FOLDER}, []


class Wire(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/load_lora_adapter":
            if "--enable-lora" not in sys.argv or not (Path(body["lora_path"]) / "adapter_config.json").exists():
                self.answer(400, {"error": {"message": "LoRA is not enabled or not there"}})
                return
            MODELS[body["lora_name"]] = body["lora_path"]
            LOADS.append(body["lora_name"])
            self.text("Success: LoRA adapter added.")
        elif self.path == "/v1/unload_lora_adapter":
            del MODELS[body["lora_name"]]
            self.text("Success: LoRA adapter removed.")
        elif body["model"] not in MODELS:
            self.answer(404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}})
        else:
            said = json.dumps([body["model"], MODELS[body["model"]], len(LOADS)])
            choice = {"index": 0, "delta": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
            events = [{"choices": [choice]}, {"choices": [], "usage": usage}]
            self.text("".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n")

    def answer(self, status, body):
        self.text(json.dumps(body), status)

    def text(self, text, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(("127.0.0.1", int(option("--port", "0"))), Wire).serve_forever()
