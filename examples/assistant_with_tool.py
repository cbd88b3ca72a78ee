"""An assistant with a function tool, on the built-in model: no key, no network.

    python examples/assistant_with_tool.py ["What is the weather in Paris?"]

The same program runs against any server that speaks OpenAI's Assistants API: only ``base_url`` differs.
"""

import json
import sys
import warnings
from typing import Any

from openai import OpenAI

from hypotez.embedded import start
from hypotez.settings import Settings

warnings.filterwarnings("ignore", category=DeprecationWarning)  # OpenAI marked these calls so; here they live on

CITIES = ["Berlin", "London", "Moscow", "Oslo", "Paris", "Rome"]
DEGREES = dict(zip(CITIES, [14, 12, 3, -5, 16, 21], strict=True))
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The temperature in a city now, in degrees Celsius.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": CITIES}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def get_weather(city: str) -> str:
    return json.dumps({"city": city, "celsius": DEGREES[city]})


def answer(client: OpenAI, question: str) -> str:
    """Ask the assistant; call the tool when it wants it; return its reply."""
    assistant = client.beta.assistants.create(
        model="gpt-4o-mini", instructions="Answer in one short sentence.", tools=[WEATHER]
    )
    thread = client.beta.threads.create(messages=[{"role": "user", "content": question}])
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread.id,
        assistant_id=assistant.id,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        max_completion_tokens=256,
    )
    while run.status == "requires_action":
        outputs: list[Any] = []
        for call in run.required_action.submit_tool_outputs.tool_calls:
            arguments = json.loads(call.function.arguments)
            print(f"the model calls {call.function.name}({arguments})")
            outputs.append({"tool_call_id": call.id, "output": get_weather(**arguments)})
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=thread.id, tool_outputs=outputs
        )
    if run.status not in ("completed", "incomplete"):
        raise SystemExit(f"The run ended as {run.status}: {run.last_error}")
    return client.beta.threads.messages.list(thread.id).data[0].content[0].text.value


def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else "What is the weather in Paris?"
    server = start(Settings.load())
    try:
        print(answer(OpenAI(base_url=server.base_url, api_key=server.api_key), question))
    finally:
        server.close()


if __name__ == "__main__":
    main()
