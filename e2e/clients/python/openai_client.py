"""The official `openai` SDK, configured by OPENAI_BASE_URL and OPENAI_API_KEY alone."""

import openai
import pydantic

import report

# Validation is strict: an answer that does not fit the SDK's types is an error, not a surprise.
client = openai.OpenAI(_strict_response_validation=True)
# The SDK's own types do not take what it asks for here: base64 vectors, and the null `finish_reason` of
# a completion that is still being streamed.
lenient = openai.OpenAI()

MODEL = "chat"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def tool(name, argument):
    parameters = {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters, "strict": True}}


TOOLS = [tool("get_weather", "city"), tool("get_time", "zone")]


class Place(pydantic.BaseModel):
    """What `parse` asks for."""

    city: str
    country: str


def user(marker, content="Answer as scripted."):
    return [{"role": "user", "content": f"{marker} {content}"}]


def final(completion):
    """The completion in the terms that do not depend on who served it."""
    choice = completion.choices[0]
    message = choice.message.to_dict()
    usage = completion.usage.to_dict() if completion.usage else {}
    report.emit("final", {
        "content": message.get("content"),
        "refusal": message.get("refusal"),
        "reasoning": message.get("reasoning_content"),
        "calls": [
            {"id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]}
            for call in message.get("tool_calls") or []
        ],
        "finish": choice.finish_reason,
        "usage": {
            "prompt": usage.get("prompt_tokens"),
            "completion": usage.get("completion_tokens"),
            "total": usage.get("total_tokens"),
            "cached": (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            "reasoning": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        },
    })
    return message


def whole(messages, **options):
    completion = client.chat.completions.create(model=MODEL, messages=messages, **options)
    report.emit("event", completion.to_dict())
    return final(completion)


def stream(messages, **options):
    """The accumulating stream: prints each chunk, then what the SDK made of them."""
    options.setdefault("stream_options", {"include_usage": True})
    with client.chat.completions.stream(model=MODEL, messages=messages, **options) as events:
        for event in events:
            if event.type == "chunk":
                report.emit("event", event.chunk.to_dict())
        # Not `get_final_completion`, which raises for `length` and `content_filter`.
        return final(events.current_completion_snapshot)


def ask(mode, messages, **options):
    return (stream if mode == "stream" else whole)(messages, **options)


def text(marker, mode):
    ask(mode, user(marker))


def no_usage(marker, _):
    """A stream whose client does not ask for usage must not show any."""
    for chunk in client.chat.completions.create(model=MODEL, messages=user(marker), stream=True):
        report.emit("event", chunk.to_dict())


def tools(marker, mode):
    """Parallel calls, answered, over two turns; reasoning is echoed as it came."""
    messages = user(marker)
    message = ask(mode, messages, tools=TOOLS)
    messages.append({key: value for key, value in message.items() if value is not None and key != "parsed"})
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"result of {call['id']}"})
    ask(mode, messages, tools=TOOLS)


def image(marker, mode):
    parts = [
        {"type": "text", "text": f"{marker} What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    ask(mode, [{"role": "user", "content": parts}])


def parse(marker, mode):
    if mode == "stream":
        with client.chat.completions.stream(model=MODEL, messages=user(marker), response_format=Place) as events:
            for _ in events:
                pass
            completion = events.get_final_completion()
    else:
        completion = client.chat.completions.parse(model=MODEL, messages=user(marker), response_format=Place)
    report.emit("final", completion.choices[0].message.parsed.model_dump())


def large(marker, mode):
    ask(mode, user(marker, "word " * 400_000))


def cancel(marker, _):
    """Leaves in mid-stream, then asks again on the same client."""
    with client.chat.completions.create(model=MODEL, messages=user(marker), stream=True) as chunks:
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                break
    whole(user("[text:whole]"))


def models(_, __):
    for model in client.models.list():
        report.emit("event", {"id": model.id, "object": model.object})
    report.emit("final", {"id": client.models.retrieve(MODEL).id})


def embeddings(marker, _):
    answer = lenient.embeddings.create(model=MODEL, input=[f"{marker} one", "two"])
    report.emit("final", {"vectors": [item.embedding for item in answer.data], "prompt": answer.usage.prompt_tokens})


def completions(marker, mode):
    if mode == "stream":
        options = {"include_usage": True}
        pieces = lenient.completions.create(model=MODEL, prompt=marker, stream=True, stream_options=options)
        for piece in pieces:
            report.emit("event", piece.to_dict())
    else:
        report.emit("event", lenient.completions.create(model=MODEL, prompt=marker).to_dict())


def error(marker, alias):
    """One failing request to an alias of its own; `stream@` in front asks for a stream."""
    mode, _, name = alias.rpartition("@")
    options, content = report.offence(name)
    alias = MODEL if name in report.OFFENCES else name
    answer = client.chat.completions.create(
        model=alias, messages=user(marker, content), stream=mode == "stream", **options
    )
    if mode == "stream":
        for chunk in answer:
            report.emit("event", chunk.choices[0].delta.to_dict())


if __name__ == "__main__":
    report.run(
        {
            "text": text, "no_usage": no_usage, "tools": tools, "reasoning": tools, "image": image, "parse": parse,
            "refusal": text, "length": text, "large": large, "cancel": cancel, "models": models,
            "embeddings": embeddings, "completions": completions, "error": error,
        },
        openai.OpenAIError,
    )
