"""LangChain's OpenAIAssistantRunnable with a function tool, as its documentation shows it."""

import json

from langchain_classic.agents.openai_assistant import OpenAIAssistantRunnable
from langchain_core.agents import AgentFinish
from langchain_core.tools import tool


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


agent = OpenAIAssistantRunnable.create_assistant(
    name="math", instructions="You are a tutor.", tools=[multiply], model="scripted", as_agent=True
)
agent.check_every_ms = 50
answer = agent.invoke({"content": "What is 6 times 7?"})
calls = []
while not isinstance(answer, AgentFinish):
    outputs = []
    for action in answer:
        calls.append([action.tool, action.tool_input])
        outputs.append({"output": str(multiply.invoke(action.tool_input)), "tool_call_id": action.tool_call_id})
    answer = agent.invoke({"tool_outputs": outputs, "run_id": answer[0].run_id, "thread_id": answer[0].thread_id})
print(json.dumps({"calls": calls, "text": answer.return_values["output"]}))
