"""LlamaIndex's OpenAIAssistantAgent with a function tool."""

import json

from llama_index.agent.openai import OpenAIAssistantAgent
from llama_index.core.tools import FunctionTool

calls = []


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    calls.append(["multiply", {"a": a, "b": b}])
    return a * b


agent = OpenAIAssistantAgent.from_new(
    name="math",
    instructions="You are a tutor.",
    tools=[FunctionTool.from_defaults(multiply)],
    model="scripted",
    instructions_prefix="Be exact.",
)
answer = agent.chat("What is 6 times 7?")
print(json.dumps({"calls": calls, "text": str(answer)}))
