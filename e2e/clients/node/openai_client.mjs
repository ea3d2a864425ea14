// The official `openai` SDK, configured by OPENAI_BASE_URL and OPENAI_API_KEY alone.
import { LARGE, PIXEL, emit, offence, require, run } from "./report.mjs";

const OpenAI = require("openai");
const { zodResponseFormat } = require("openai/helpers/zod");
const { z } = require("zod");

const client = new OpenAI();
const model = "chat";
const Place = z.object({ city: z.string(), country: z.string() });

function tool(name, argument) {
  const parameters = {
    type: "object",
    properties: { [argument]: { type: "string" } },
    required: [argument],
    additionalProperties: false,
  };
  return { type: "function", function: { name, parameters, strict: true } };
}

const tools = [tool("get_weather", "city"), tool("get_time", "zone")];
const user = (marker, content = "Answer as scripted.") => [{ role: "user", content: `${marker} ${content}` }];

// The completion in the terms that do not depend on who served it.
function final(completion) {
  const { message, finish_reason: finish } = completion.choices[0];
  const usage = completion.usage ?? {};
  emit("final", {
    content: message.content ?? null,
    refusal: message.refusal ?? null,
    reasoning: message.reasoning_content ?? null,
    calls: (message.tool_calls ?? []).map(({ id, function: call }) => ({ id, name: call.name, arguments: call.arguments })),
    finish,
    usage: {
      prompt: usage.prompt_tokens ?? null,
      completion: usage.completion_tokens ?? null,
      total: usage.total_tokens ?? null,
      cached: usage.prompt_tokens_details?.cached_tokens ?? null,
      reasoning: usage.completion_tokens_details?.reasoning_tokens ?? null,
    },
  });
  return message;
}

async function whole(messages, options = {}) {
  const completion = await client.chat.completions.create({ model, messages, ...options });
  emit("event", completion);
  return final(completion);
}

// The accumulating stream: prints each chunk, then what the SDK made of them.
async function stream(messages, options = {}) {
  const events = client.chat.completions.stream({
    model,
    messages,
    stream_options: { include_usage: true },
    ...options,
  });
  let reasoning = "";
  for await (const chunk of events) {
    emit("event", chunk);
    reasoning += chunk.choices[0]?.delta.reasoning_content ?? "";
  }
  const completion = await events.finalChatCompletion();
  // This SDK keeps only the last piece of a field that it does not know.
  if (reasoning) completion.choices[0].message.reasoning_content = reasoning;
  return final(completion);
}

const ask = (mode, messages, options) => (mode === "stream" ? stream : whole)(messages, options);
const text = (marker, mode) => ask(mode, user(marker));

// Parallel calls, answered, over two turns; reasoning is echoed as it came.
async function turns(marker, mode) {
  const messages = user(marker);
  const message = await ask(mode, messages, { tools });
  const { parsed, ...echo } = message;
  messages.push(Object.fromEntries(Object.entries(echo).filter(([, value]) => value !== null)));
  for (const call of message.tool_calls) {
    delete call.function.parsed_arguments;
    messages.push({ role: "tool", tool_call_id: call.id, content: `result of ${call.id}` });
  }
  await ask(mode, messages, { tools });
}

function image(marker, mode) {
  const url = `data:image/png;base64,${PIXEL}`;
  return ask(mode, [{ role: "user", content: [
    { type: "text", text: `${marker} What is this?` },
    { type: "image_url", image_url: { url } },
  ] }]);
}

async function parse(marker, mode) {
  const request = { model, messages: user(marker), response_format: zodResponseFormat(Place, "Place") };
  const completion = mode === "stream"
    ? await client.chat.completions.stream(request).finalChatCompletion()
    : await client.chat.completions.parse(request);
  emit("final", completion.choices[0].message.parsed);
}

// A stream whose client does not ask for usage must not show any.
async function noUsage(marker) {
  for await (const chunk of await client.chat.completions.create({ model, messages: user(marker), stream: true })) {
    emit("event", chunk);
  }
}

// Leaves in mid-stream, then asks again on the same client.
async function cancel(marker) {
  const chunks = await client.chat.completions.create({ model, messages: user(marker), stream: true });
  for await (const chunk of chunks) {
    if (chunk.choices[0].delta.content) break;
  }
  await whole(user("[text:whole]"));
}

async function models() {
  for await (const { id, object } of client.models.list()) emit("event", { id, object });
  emit("final", { id: (await client.models.retrieve(model)).id });
}

async function embeddings(marker) {
  const answer = await client.embeddings.create({ model, input: [`${marker} one`, "two"] });
  emit("final", { vectors: answer.data.map(({ embedding }) => [...embedding]), prompt: answer.usage.prompt_tokens });
}

async function completions(marker, mode) {
  if (mode !== "stream") return emit("event", await client.completions.create({ model, prompt: marker }));
  const request = { model, prompt: marker, stream: true, stream_options: { include_usage: true } };
  for await (const piece of await client.completions.create(request)) emit("event", piece);
}

// One failing request to an alias of its own; `stream@` in front asks for a stream.
async function error(marker, argument) {
  const [name, mode] = argument.split("@").reverse();
  const { alias, members, options, prompt } = offence(name, model);
  const request = { model: alias, messages: user(marker, prompt), stream: mode === "stream", ...members };
  const answer = await client.chat.completions.create(request, options);
  if (mode === "stream") for await (const chunk of answer) emit("event", chunk.choices[0].delta);
}

await run(
  {
    text, no_usage: noUsage, tools: turns, reasoning: turns, image, parse, refusal: text, length: text,
    large: (marker, mode) => ask(mode, user(marker, LARGE)), cancel, models, embeddings, completions, error,
  },
  OpenAI.OpenAIError,
);
