"""What a run with a key of its own is asked to be: how the words of its command become a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import click

from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import duration
from comet_mcp.domain.money import MAX_QUOTA, usd_amount
from comet_mcp.errors import ArgumentError
from comet_mcp.services.lease import NET
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

_SHORT = re.compile(r"([0-9]{1,6}) ?([sm])")
"""A span as people write one of a job; elsewhere "m" could be months."""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run as it was asked for. `lease` is in seconds, `budget` in US dollars."""

    program: Sequence[str]
    lease: int
    budget: float
    models: list[str]
    ips: list[str]
    group: str
    openai: bool
    kill: bool


class BeforeProgram(click.Command):
    """A command whose options end at --; what follows is the program, as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the options. Raises UsageError where there is no program."""
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        if not args[at + 1 :]:
            raise click.UsageError("The program is missing. It goes after --.", ctx)
        ctx.obj = args[at + 1 :]
        return rest


def seconds(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """How long an option's words are. Raises BadParameter."""
    short = _SHORT.fullmatch(text.strip().lower())
    if short and int(short[1]):
        return int(short[1]) * (60 if short[2] == "m" else 1)
    try:
        return duration(text)
    except ArgumentError as error:
        raise click.BadParameter(str(error.args[0]), context, parameter) from None


def dollars(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """An option's amount. Raises BadParameter."""
    if not (amount := usd_amount(text.removeprefix("$"))):
        raise click.BadParameter("Give US dollars, such as 0.50.", context, parameter)
    return amount


def key_of_run(request: RunRequest, settings: Settings, until: float) -> KeySpec:
    """The key of a run, whose name no other has. It ends a minute after the lease, or when the policy demands it.

    Raises:
        ArgumentError: The budget is none that a key can have, or what stands for an address is none.
    """
    quota = settings.units.from_usd(request.budget)
    if not 0 < quota <= MAX_QUOTA:
        units = settings.units
        raise ArgumentError(f"--budget must be from {units.usd(1)}, one quota unit, to {units.usd(MAX_QUOTA)}.")
    addresses = AddressList.of(request.ips)
    if addresses.wrong:
        raise ArgumentError(f"--ips has the entry {quoted(addresses.wrong[0])}, which is no IP address or range.")
    latest = settings.policy.latest_end(None, until - request.lease)
    end = int(until) + NET
    program = _ODD.sub("-", Path(request.program[0]).stem)[:16].strip("-.")
    return KeySpec(
        name=f"{settings.policy.values.get('name_prefix', '')}run-{program}-{token_hex(4)}",
        expired_time=end if latest is None or latest < int(until) else min(end, latest),
        remain_quota=quota,
        model_limits_enabled=bool(request.models),
        model_limits=",".join(request.models),
        allow_ips=addresses.text or None,
        group=request.group,
    )
