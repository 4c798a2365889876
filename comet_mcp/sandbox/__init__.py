"""A CometAPI on your own machine: a stateful fake of the management API, for the demo, the tests and experiments.

It keeps its keys in memory, speaks CometAPI's documented dialect or that of one of the gateways it resembles, and
can be told to misbehave. In-process, `Sandbox().app` is an ASGI application; on a loopback port it is a real HTTP
server:

    sandbox = Sandbox(dialect="gateway")
    sandbox.faults.add("create", "reset_after")
    with sandbox.serve() as base_url:
        ...

A model call is in flight from `begin_call` until it ends, without HTTP too:

    call = sandbox.begin_call(sandbox.keys[0], "gpt-4o", max_tokens=1000)
    call.end(prompt_tokens=10, completion_tokens=5)

It is a verified fake: the contract tests run on it and on live servers alike.
"""

from comet_mcp.sandbox.billing import ModelCall
from comet_mcp.sandbox.dialects import DIALECTS, Dialect, ExtraField
from comet_mcp.sandbox.faults import CALLS, FAULTS, Fault
from comet_mcp.sandbox.front import Request
from comet_mcp.sandbox.key import Key
from comet_mcp.sandbox.messages import Refused
from comet_mcp.sandbox.mount import mount
from comet_mcp.sandbox.sandbox import Sandbox
from comet_mcp.sandbox.server import serve

__all__ = [
    "CALLS",
    "DIALECTS",
    "FAULTS",
    "Dialect",
    "ExtraField",
    "Fault",
    "Key",
    "ModelCall",
    "Refused",
    "Request",
    "Sandbox",
    "mount",
    "serve",
]
