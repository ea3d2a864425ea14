// The official `anthropic` SDK, configured by ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY alone.
import { LARGE, PIXEL, emit, offence, require, run } from "./report.mjs";

const Anthropic = require("@anthropic-ai/sdk");
const { zodOutputFormat } = require("@anthropic-ai/sdk/helpers/zod");
const { z } = require("zod");

const client = new Anthropic();
const model = "chat";
const max_tokens = 4096;
const Place = z.object({ city: z.string(), country: z.string() });

const tool = (name, argument) => ({
  name,
  input_schema: { type: "object", properties: { [argument]: { type: "string" } }, required: [argument] },
});
const tools = [tool("get_weather", "city"), tool("get_time", "zone")];
const user = (marker, content = "Answer as scripted.") => [{ role: "user", content: `${marker} ${content}` }];

// The message in the terms that do not depend on who served it.
function final({ content, stop_reason: stop, usage }) {
  const blocks = content.map(({ parsed_output, ...block }) => block);
  emit("final", {
    blocks,
    stop,
    usage: {
      input: usage.input_tokens ?? null,
      output: usage.output_tokens ?? null,
      cache_read: usage.cache_read_input_tokens ?? null,
    },
  });
  return blocks;
}

async function whole(messages, options = {}) {
  const message = await client.messages.create({ model, max_tokens, messages, ...options });
  emit("event", message);
  return final(message);
}

// The accumulating stream: prints each event of the wire, then what the SDK made of them.
async function stream(messages, options = {}) {
  const events = client.messages.stream({ model, max_tokens, messages, ...options });
  for await (const event of events) emit("event", event);
  return final(await events.finalMessage());
}

const ask = (mode, messages, options) => (mode === "stream" ? stream : whole)(messages, options);
const text = (marker, mode) => ask(mode, user(marker));

// Parallel calls, answered, over two turns; every block is echoed as it came.
async function turns(marker, mode, options = {}) {
  const messages = user(marker);
  const blocks = await ask(mode, messages, { tools, ...options });
  const results = blocks
    .filter(({ type }) => type === "tool_use")
    .map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: `result of ${id}` }));
  messages.push({ role: "assistant", content: blocks }, { role: "user", content: results });
  await ask(mode, messages, { tools, ...options });
}

function image(marker, mode) {
  const source = { type: "base64", media_type: "image/png", data: PIXEL };
  return ask(mode, [{ role: "user", content: [
    { type: "text", text: `${marker} What is this?` },
    { type: "image", source },
  ] }]);
}

async function parse(marker, mode) {
  const request = { model, max_tokens, messages: user(marker), output_config: { format: zodOutputFormat(Place) } };
  const message = mode === "stream"
    ? await client.messages.stream(request).finalMessage()
    : await client.messages.parse(request);
  emit("final", message.parsed_output);
}

// Leaves in mid-stream, then asks again on the same client.
async function cancel(marker) {
  const events = await client.messages.create({ model, max_tokens, messages: user(marker), stream: true });
  for await (const event of events) {
    if (event.type === "content_block_delta") break;
  }
  await whole(user("[text:whole]"));
}

async function models() {
  for await (const { id, type } of client.models.list()) emit("event", { id, type });
  emit("final", { id: (await client.models.retrieve(model)).id });
}

async function countTokens(marker) {
  const answer = await client.messages.countTokens({ model, messages: user(marker) });
  emit("final", { isPositive: answer.input_tokens > 0 });
}

// One failing request to an alias of its own; `stream@` in front asks for a stream.
async function error(marker, argument) {
  const [name, mode] = argument.split("@").reverse();
  const { alias, members, options, prompt } = offence(name, model);
  const stream = mode === "stream";
  const request = { model: alias, max_tokens: 64, messages: user(marker, prompt), stream, ...members };
  const answer = await client.messages.create(request, options);
  if (!stream) return;
  for await (const event of answer) {
    if (event.type === "content_block_delta") emit("event", event.delta);
  }
}

await run(
  {
    text, tools: turns, reasoning: (marker, mode) => turns(marker, mode, { thinking: { type: "adaptive" } }), image,
    parse, refusal: text, length: text, large: (marker, mode) => ask(mode, user(marker, LARGE)), cancel, models,
    count_tokens: countTokens, error,
  },
  Anthropic.AnthropicError,
);
