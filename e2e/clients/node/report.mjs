// What a client program prints: one JSON document per line, for the Rust test to compare.
// Runs scenarios by name; each is handed a marker, which it puts into its first prompt so that the
// scripted partner knows which answer is due.
import { createRequire } from "node:module";
import { join } from "node:path";

// The SDKs live in the cache, not beside this file: see ../setup.
export const require = createRequire(join(process.env.CHAPERONE_CLIENTS, "node", "package.json"));

export function emit(kind, value) {
  process.stdout.write(`${JSON.stringify({ [kind]: value })}\n`);
}

// An SDK error: its class, and what the application can read of it.
function describe(error) {
  return {
    class: error.constructor.name,
    status: error.status ?? null,
    body: error.error ?? null,
    reason: error.headers?.get("x-chaperone-reason") ?? null,
    shouldRetry: error.headers?.get("x-should-retry") ?? null,
  };
}

export async function run(scenarios, ApiError) {
  process.on("warning", (warning) => emit("warning", warning.message));
  for (const name of process.argv.slice(2)) {
    emit("scenario", name);
    const at = name.indexOf(":");
    const [scenario, argument] = at < 0 ? [name, ""] : [name.slice(0, at), name.slice(at + 1)];
    try {
      await scenarios[scenario](`[${name}]`, argument);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      emit("error", describe(error));
    }
  }
}

// Requests that are at fault themselves, sent to an alias that works: members, options and prompt.
const OFFENCES = {
  "api-base": { members: { api_base: "http://127.0.0.1:9/" } },
  forbidden: { options: { headers: { "x-tenant-id": "another-tenant" } } },
  "too-large": { prompt: "word ".repeat(8_000_000) },
};

export function offence(name, model) {
  const { members = {}, options = {}, prompt } = OFFENCES[name] ?? {};
  return { alias: name in OFFENCES ? model : name, members, options, prompt };
}

export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const LARGE = "word ".repeat(400_000);
