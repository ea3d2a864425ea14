"""What a client program prints: one JSON document per line, for the Rust test to compare.

Runs scenarios by name; each is a function that is handed a marker, which it puts into its first
prompt so that the scripted partner knows which answer is due.
"""

import json
import sys
import warnings


# Requests that are at fault themselves, sent to an alias that works.
OFFENCES = {
    "api-base": {"extra_body": {"api_base": "http://127.0.0.1:9/"}},
    "forbidden": {"extra_headers": {"x-tenant-id": "another-tenant"}},
    "too-large": {},
}


def offence(name):
    """The options and the prompt of a request that is at fault, or of one that is not."""
    return OFFENCES.get(name, {}), "word " * 8_000_000 if name == "too-large" else "Answer as scripted."


def emit(kind, value):
    """Prints one line."""
    print(json.dumps({kind: value}), flush=True)


def describe(error):
    """An SDK error: its class, and what the application can read of it."""
    response = getattr(error, "response", None)
    headers = response.headers if response is not None else {}
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "body": getattr(error, "body", None),
        "reason": headers.get("x-chaperone-reason"),
        "shouldRetry": headers.get("x-should-retry"),
    }


def run(scenarios, api_error):
    """Runs the scenarios that the command line names, in order."""
    # "Typed objects without warnings": one is an error of the scenario.
    warnings.simplefilter("error")
    for name in sys.argv[1:]:
        emit("scenario", name)
        function, _, argument = name.partition(":")
        try:
            scenarios[function](f"[{name}]", argument)
        except api_error as error:
            emit("error", describe(error))
