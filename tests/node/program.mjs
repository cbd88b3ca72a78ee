// OpenAI's own Node SDK through the whole Assistants API: prints what it saw as one line of JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const { assistants, threads } = client.beta;

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
const assistant = await assistants.create({ model: "scripted", name: "node", tools });
const thread = await threads.create({ messages: [{ role: "user", content: "Weather in Oslo?" }] });

// a run that is polled, asks for a tool and is answered
let run = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
const calls = run.required_action.submit_tool_outputs.tool_calls;
run = await threads.runs.submitToolOutputsAndPoll(run.id, {
  thread_id: thread.id,
  tool_outputs: calls.map((call) => ({ tool_call_id: call.id, output: "-5" })),
});

// a run that is streamed
await threads.messages.create(thread.id, { role: "user", content: "And now?" });
const events = [];
let text = "";
const stream = threads.runs
  .stream(thread.id, { assistant_id: assistant.id })
  .on("event", (event) => events.push(event.event))
  .on("textDelta", (delta) => (text += delta.value));
const final = await stream.finalRun();

// lists that page by themselves
const said = [];
for await (const message of threads.messages.list(thread.id, { order: "asc", limit: 2 })) {
  said.push(message.content[0].text.value);
}
const steps = [];
for await (const step of threads.runs.steps.list(run.id, { thread_id: thread.id })) {
  steps.push(step.type);
}

let refused = "";
try {
  await threads.retrieve("thread_none");
} catch (error) {
  refused = `${error.constructor.name} ${error.status}`;
}
const deleted = await threads.delete(thread.id);

console.log(
  JSON.stringify({ polled: run.status, streamed: final.status, text, said, steps, refused, deleted: deleted.deleted,
    first: events[0], last: events.at(-1) }),
);
