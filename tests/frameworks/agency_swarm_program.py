"""agency-swarm's Agency of one agent with a function tool."""

import json
import os
import tempfile

os.chdir(tempfile.mkdtemp())  # it keeps its settings.json in the current folder

from agency_swarm import Agency, Agent  # noqa: E402
from agency_swarm.tools import BaseTool  # noqa: E402

calls = []


class multiply(BaseTool):
    """Multiply two numbers."""

    a: int
    b: int

    def run(self) -> str:
        calls.append(["multiply", {"a": self.a, "b": self.b}])
        return str(self.a * self.b)


agent = Agent(
    name="math", description="Multiplies", instructions="You are a tutor.", tools=[multiply], model="scripted"
)
answer = Agency([agent]).get_completion("What is 6 times 7?")
print(json.dumps({"calls": calls, "text": answer}))
