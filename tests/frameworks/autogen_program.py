"""AutoGen's OpenAIAssistantAgent with a function tool."""

import asyncio
import json

from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.agents.openai import OpenAIAssistantAgent
from openai import AsyncOpenAI

calls = []


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    calls.append(["multiply", {"a": a, "b": b}])
    return a * b


async def main() -> None:
    token = CancellationToken()
    agent = OpenAIAssistantAgent(
        name="math",
        description="Multiplies",
        client=AsyncOpenAI(),
        model="scripted",
        instructions="You are a tutor.",
        tools=[multiply],
    )
    answer = await agent.on_messages([TextMessage(source="user", content="What is 6 times 7?")], token)
    await agent.on_reset(token)
    await agent.delete_assistant(token)
    print(json.dumps({"calls": calls, "text": answer.chat_message.content}))


asyncio.run(main())
