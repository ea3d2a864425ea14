"""The official `anthropic` SDK, configured by ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY alone."""

import anthropic
import pydantic

import report

# Validation is strict: an answer that does not fit the SDK's types is an error, not a surprise.
client = anthropic.Anthropic(_strict_response_validation=True)

MODEL = "chat"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def tool(name, argument):
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"name": name, "input_schema": schema}


TOOLS = [tool("get_weather", "city"), tool("get_time", "zone")]


class Place(pydantic.BaseModel):
    """What `parse` asks for."""

    city: str
    country: str


def user(marker, content="Answer as scripted."):
    return [{"role": "user", "content": f"{marker} {content}"}]


def final(message):
    """The message in the terms that do not depend on who served it."""
    usage = message.usage.to_dict()
    blocks = [block.to_dict() for block in message.content]
    for block in blocks:
        block.pop("parsed_output", None)
    report.emit("final", {
        "blocks": blocks,
        "stop": message.stop_reason,
        "usage": {
            "input": usage.get("input_tokens"),
            "output": usage.get("output_tokens"),
            "cache_read": usage.get("cache_read_input_tokens"),
        },
    })
    return blocks


def whole(messages, **options):
    message = client.messages.create(model=MODEL, max_tokens=4096, messages=messages, **options)
    report.emit("event", message.to_dict())
    return final(message)


def stream(messages, **options):
    """The accumulating stream: prints each event of the wire, then what the SDK made of them."""
    derived = {"text", "thinking", "signature", "input_json", "citation"}
    with client.messages.stream(model=MODEL, max_tokens=4096, messages=messages, **options) as events:
        for event in events:
            if event.type not in derived:
                document = event.to_dict()
                # The SDK adds what it has accumulated; the final message shows it once.
                document.pop("message" if event.type == "message_stop" else "", None)
                document.pop("content_block" if event.type == "content_block_stop" else "", None)
                report.emit("event", document)
        return final(events.get_final_message())


def ask(mode, messages, **options):
    return (stream if mode == "stream" else whole)(messages, **options)


def text(marker, mode):
    ask(mode, user(marker))


def turns(marker, mode, **options):
    """Parallel calls, answered, over two turns; every block is echoed as it came."""
    messages = user(marker)
    blocks = ask(mode, messages, tools=TOOLS, **options)
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": f"result of {block['id']}"}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    messages += [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    ask(mode, messages, tools=TOOLS, **options)


def tools(marker, mode):
    turns(marker, mode)


def reasoning(marker, mode):
    turns(marker, mode, thinking={"type": "adaptive"})


def image(marker, mode):
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    ask(mode, [{"role": "user", "content": [
        {"type": "text", "text": f"{marker} What is this?"},
        {"type": "image", "source": source},
    ]}])


def parse(marker, mode):
    options = {"model": MODEL, "max_tokens": 4096, "messages": user(marker), "output_format": Place}
    if mode == "stream":
        with client.messages.stream(**options) as events:
            message = events.get_final_message()
    else:
        message = client.messages.parse(**options)
    report.emit("final", message.parsed_output.model_dump())


def large(marker, mode):
    ask(mode, user(marker, "word " * 400_000))


def cancel(marker, _):
    """Leaves in mid-stream, then asks again on the same client."""
    with client.messages.create(model=MODEL, max_tokens=4096, messages=user(marker), stream=True) as events:
        for event in events:
            if event.type == "content_block_delta":
                break
    whole(user("[text:whole]"))


def models(_, __):
    for model in client.models.list():
        report.emit("event", {"id": model.id, "type": model.type})
    report.emit("final", {"id": client.models.retrieve(MODEL).id})


def count_tokens(marker, _):
    answer = client.messages.count_tokens(model=MODEL, messages=user(marker))
    report.emit("final", {"isPositive": answer.input_tokens > 0})


def error(marker, alias):
    """One failing request to an alias of its own; `stream@` in front asks for a stream."""
    mode, _, name = alias.rpartition("@")
    options, content = report.offence(name)
    alias = MODEL if name in report.OFFENCES else name
    answer = client.messages.create(
        model=alias, max_tokens=64, messages=user(marker, content), stream=mode == "stream", **options
    )
    if mode == "stream":
        for event in answer:
            if event.type == "content_block_delta":
                report.emit("event", event.delta.to_dict())


if __name__ == "__main__":
    report.run(
        {
            "text": text, "tools": tools, "reasoning": reasoning, "image": image, "parse": parse,
            "refusal": text, "length": text, "large": large, "cancel": cancel, "models": models,
            "count_tokens": count_tokens, "error": error,
        },
        anthropic.AnthropicError,
    )
