"""A CometAPI on your own machine: a stateful fake of the management API, for the demo, the tests and experiments.

It keeps its keys in memory, speaks CometAPI's documented dialect or that of one of the gateways it resembles, and
can be told to misbehave. In-process, `Sandbox().app` is an ASGI application; on a loopback port it is a real HTTP
server:

    sandbox = Sandbox(dialect="gateway")
    sandbox.faults.add("create", "reset_after")
    with sandbox.serve() as base_url:
        ...

It is a verified fake: the contract tests run on it and on live servers alike.
"""

from comet_mcp.sandbox.account import Key
from comet_mcp.sandbox.dialects import DIALECTS, Dialect
from comet_mcp.sandbox.faults import CALLS, FAULTS, Fault
from comet_mcp.sandbox.front import Request
from comet_mcp.sandbox.sandbox import Sandbox

__all__ = ["CALLS", "DIALECTS", "FAULTS", "Dialect", "Fault", "Key", "Request", "Sandbox"]
