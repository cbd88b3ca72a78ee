"""kill -9 of the server at random instants under a mixed load of messages, runs and tool outputs.

    python -m tests.server.kill_runs --instants 200 [--seed 1]

Prints what was counted and exits with 1 when anything acknowledged was lost, anything doubled or any run stuck.
"""

import argparse
import collections
import json
import multiprocessing
import random
import socket
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import openai
from openai import OpenAI
from tests.server import scripted_server
from tests.server.scripted_server import TOOL

from hypotez.store import Store

warnings.filterwarnings("ignore", category=DeprecationWarning)
ENDS = {"completed", "failed", "cancelled", "expired", "incomplete"}
CLIENTS = 6
MOST_ANSWERS = 40  # of the server between two kills
LONGEST_LIFE = 20.0  # seconds


@dataclass
class Acknowledged:
    """What the server has said it did."""

    messages: dict[str, str] = field(default_factory=dict)  # id: text
    runs: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)  # runs whose tool outputs were accepted
    threads: set[str] = field(default_factory=set)
    polls: int = 0
    given_up: int = 0

    def count(self) -> int:
        """Grows with every answer of the server."""
        return len(self.messages) + len(self.runs) + len(self.answered) + len(self.threads) + self.polls


class Server:
    """Processes forked from one that has imported everything: a start costs a tenth of a second, not of a minute."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.home = home
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(["tests.server.scripted_server"])

    def start(self) -> None:
        listening = self.forks.Event()
        self.process = self.forks.Process(target=scripted_server.start, args=(self.home, self.port, listening.set))
        self.process.start()
        assert listening.wait(120)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def load(port: int, number: int, said: Acknowledged, stop: threading.Event) -> None:
    """One client: threads with messages, runs with and without tools, some of them streamed."""
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=20, timeout=20)
    beta, chance, turn = client.beta, random.Random(number), 0
    assistant = beta.assistants.create(model="scripted", tools=[TOOL])
    while not stop.is_set():
        try:
            thread = beta.threads.create()
            said.threads.add(thread.id)
            for _ in range(3):
                turn += 1
                text = f"client {number} turn {turn}{' tool' if chance.random() < 0.5 else ''}"
                message = beta.threads.messages.create(thread.id, role="user", content=text)
                said.messages[message.id] = text
                run = beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
                said.runs.add(run.id)
                finish(beta, thread.id, run, said)
        except openai.APIError:  # retried for minutes in vain: the thread is left as it is
            said.given_up += 1


def finish(beta, thread_id: str, run, said: Acknowledged) -> None:
    deadline = time.monotonic() + 120
    while run.status not in ENDS and time.monotonic() < deadline:
        if run.status == "requires_action":
            calls = run.required_action.submit_tool_outputs.tool_calls
            outputs = [{"tool_call_id": call.id, "output": "found"} for call in calls]
            run = beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread_id, tool_outputs=outputs)
            said.answered.add(run.id)
        time.sleep(0.05)
        run = beta.threads.runs.retrieve(run.id, thread_id=thread_id)
        said.polls += 1


def faults(home: Path, said: Acknowledged) -> list[str]:
    """Everything that the store holds wrongly, after the dust has settled."""
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    found: list[str] = []
    with store.read() as tx:
        runs = {run.id: run for run in tx.documents.page("thread.run", limit=1_000_000).items}
        messages = {message.id: message for message in tx.documents.page("thread.message", limit=1_000_000).items}
        steps = tx.documents.page("thread.run.step", limit=1_000_000).items
        threads = tx.documents.page("thread", limit=1_000_000).items
        left = tx.work.waiting("run")
    texts = collections.Counter(m.body["content"][0]["text"]["value"] for m in messages.values() if m.body["content"])
    found += [f"lost message {id}" for id in said.messages if id not in messages]
    found += [f"lost run {id}" for id in said.runs if id not in runs]
    found += [f"lost thread {id}" for id in said.threads if id not in {thread.id for thread in threads}]
    found += [f"doubled {text!r} x{count}" for text, count in texts.items() if count > 1 and "answer" not in text]
    found += [f"stuck {run.id} {run.status}" for run in runs.values() if run.status not in ENDS]
    found += [f"locked {thread.id}" for thread in threads if thread.private.get("active_run")]
    found += [f"work left {item.target}" for item in left]
    replies = collections.Counter(m.body["run_id"] for m in messages.values() if m.body["run_id"])
    by_run = collections.defaultdict(list)
    for step in steps:
        by_run[step.parent].append(step.body)
    for run in runs.values():
        written = sum(step["type"] == "message_creation" for step in by_run[run.id])
        if replies[run.id] != written:
            found.append(f"run {run.id}: {replies[run.id]} messages, {written} steps")
        if run.status == "completed" and replies[run.id] != 1:
            found.append(f"run {run.id} completed with {replies[run.id]} messages")
        if run.status == "failed":
            found.append(f"run {run.id} failed: {run.body['last_error']}")
        calls = [step for step in by_run[run.id] if step["type"] == "tool_calls"]
        if len(calls) > 1:
            found.append(f"run {run.id} asked for its tool {len(calls)} times")
        if run.id in said.answered and [call["status"] for call in calls] != ["completed"]:
            found.append(f"run {run.id}: accepted outputs are lost")
        found += [f"run {run.id}: {fault}" for fault in stream_faults(store, run.id)]
    store.close()
    return found


def stream_faults(store: Store, run_id: str) -> list[str]:
    """Is what was told consistent: everything opened is closed, one end, and the text told is the text stored."""
    with store.read() as tx:
        events = tx.events.after(run_id, limit=1_000_000)
        stored = {m.id: m.body for m in tx.documents.page("thread.message", fields={"run_id": run_id}, limit=100).items}
    open_, told, wrong = set(), collections.defaultdict(str), []
    for event in events:
        if event.type.endswith(".created") and event.type != "thread.run.created":
            open_.add(event.data["id"])
        elif event.type == "thread.message.delta":
            told[event.data["id"]] += event.data["delta"]["content"][0]["text"]["value"]
        elif event.type.endswith((".completed", ".failed", ".incomplete", ".cancelled", ".expired")):
            open_.discard(event.data["id"])
    wrong += [f"{id} was never closed" for id in open_]
    wrong += [
        f"{id} told and stored differ" for id, m in stored.items() if told[id] != m["content"][0]["text"]["value"]
    ]
    return wrong


def torment(home: Path, instants: int, seed: int) -> tuple[list[str], Acknowledged]:
    """Run the load over ``instants`` kills; returns the faults found and what was acknowledged."""
    chance, said, stop = random.Random(seed), Acknowledged(), threading.Event()
    server = Server(home)
    server.start()
    clients = [
        threading.Thread(target=load, args=(server.port, number, said, stop), daemon=True) for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    while len(said.runs) < CLIENTS:  # the SDK takes its time to load
        time.sleep(0.1)
    for _ in range(instants):
        live(said, chance)
        server.kill()
        server.start()
    stop.set()
    for client in clients:
        client.join(300)
    stuck = [f"client {number} hangs" for number, client in enumerate(clients) if client.is_alive()]
    client = OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=20)
    settle(home, client)
    server.kill()
    return stuck + faults(home, said), said


def live(said: Acknowledged, chance: random.Random) -> None:
    """Let the server live for a random number of answers and a random moment more, however slow the machine is."""
    until, deadline = said.count() + chance.randrange(MOST_ANSWERS), time.monotonic() + LONGEST_LIFE
    while said.count() < until and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(chance.uniform(0.0, 0.05))


def settle(home: Path, client: OpenAI, seconds: float = 120) -> None:
    """Wait until every run has ended; those whose client gave up before its tool outputs are cancelled."""
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with store.read() as tx:
            active = tx.documents.with_status("thread.run", ["queued", "in_progress", "cancelling", "requires_action"])
        for run in active:
            if run.status == "requires_action":
                client.beta.threads.runs.cancel(run.id, thread_id=run.parent)
        if not active:
            break
        time.sleep(0.2)
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found, said = torment(Path(home), arguments.instants, arguments.seed)
    counts = {"messages": len(said.messages), "runs": len(said.runs), "answered": len(said.answered)}
    given_up = {"polls": said.polls, "given up": said.given_up}
    print(json.dumps({"instants": arguments.instants, **counts, **given_up, "faults": found}, indent=1))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
