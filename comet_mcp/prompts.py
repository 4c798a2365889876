"""Two prompts for people: one that makes a key safely, one that looks after the keys there are."""

from __future__ import annotations

from collections import Counter

from mcp_types import GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from comet_mcp.context import Services
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import NEVER, expiry
from comet_mcp.domain.money import Units
from comet_mcp.errors import ArgumentError
from comet_mcp.services.listing import all_keys
from comet_mcp.text import quoted
from comet_mcp.tools.key_words import last_used

UNUSED_FOR = 30 * 86_400
"""Seconds without use after which the review names a key."""

_MOST_NAMED = 50
_LONGEST = 10_000
"""Characters of an argument: a page or two of what a key is for."""

MAKE = Prompt(
    name="make_api_key",
    title="Make an API key safely",
    description="Walks you through a key with a budget, an end and a scope.",
    arguments=[
        PromptArgument(name="purpose", description="What the key is for", required=True),
        PromptArgument(name="budget_usd", description="What it may spend, in US dollars"),
        PromptArgument(name="lifetime", description='How long it shall live, such as "30 days"'),
        PromptArgument(name="models", description="The models it may call, comma-separated"),
        PromptArgument(name="group", description="A group of the account"),
    ],
)
REVIEW = Prompt(
    name="review_api_keys",
    title="Review the API keys",
    description="Finds keys without budget or end, unused, ended, switched off or doubled, and proposes what to do.",
    arguments=[],
)
PROMPTS = [MAKE, REVIEW]


async def get_prompt(app: Services, name: str, arguments: dict[str, str]) -> GetPromptResult:
    """The text of a prompt. Raises ArgumentError for an unknown one or a missing argument."""
    if name == MAKE.name:
        return _said(MAKE, _make(arguments))
    if name == REVIEW.name:
        rows, is_every = await all_keys(app.api)
        more = "" if is_every else f"\n\nThese are the newest {len(rows)} keys: the API lists more, that were not read."
        return _said(REVIEW, review(rows, app.clock.now(), app.units) + more)
    raise ArgumentError(f"There is no prompt {quoted(name)}. There are {', '.join(prompt.name for prompt in PROMPTS)}.")


def _make(arguments: dict[str, str]) -> str:
    if not arguments.get("purpose", "").strip():
        raise ArgumentError('The prompt needs the argument "purpose": what the key is for.')
    for name in (argument.name for argument in MAKE.arguments or []):
        if len(arguments.get(name, "")) > _LONGEST:
            raise ArgumentError(f'The argument "{name}" must be at most {_LONGEST} characters long.')
    requested = {
        "Purpose": arguments["purpose"],
        "Budget in US dollars": arguments.get("budget_usd"),
        "Lifetime": arguments.get("lifetime"),
        "Models": arguments.get("models"),
        "Group": arguments.get("group"),
    }
    known = "\n".join(f"- {what}: {said}" for what, said in requested.items() if said)
    return (
        f"I need a CometAPI key.\n{known}\n\n"
        "1. Ask me for what is missing of: what it may spend, how long it shall live, which models it may call. "
        "Propose something small for each; no budget or no end only if I insist.\n"
        "2. Call plan_api_key with my own words, and ask me what it asks. Show me the budget, the end and every "
        "warning, and wait for my yes.\n"
        "3. Call create_api_key with exactly what the plan returned.\n"
        "4. Call verify_api_key with the new id, and tell me where the value is and how a program gets it. Never "
        "ask me for a key's value, and don't read the file."
    )


def review(rows: list[Key], now: float, units: Units) -> str:
    """What is worth a look among these keys, with a proposal for each kind."""
    alive, off, spent, expired = _by_life(rows, now)
    names = Counter(row.name for row in rows)
    findings = (
        ("No budget: give them one with update_api_key", [row for row in alive if row.unlimited_quota]),
        (
            "Never end: give them an expired_time with update_api_key",
            [row for row in alive if row.expired_time == NEVER],
        ),
        (
            "Not used for 30 days: disable with update_api_key, delete later",
            [row for row in alive if row.touched < now - UNUSED_FOR],
        ),
        (
            'Switched off: enable again with update_api_key and status "enabled", or delete with delete_api_key',
            off,
        ),
        (
            'Spent: give more with update_api_key, add_budget_usd and status "enabled", or delete with delete_api_key',
            spent,
        ),
        (
            'Expired: delete with delete_api_key, or extend with update_api_key, expired_time and status "enabled"',
            expired,
        ),
        ("Share a name: rename or delete those not needed", [row for row in rows if names[row.name] > 1]),
    )
    parts = [_finding(title, found, now, units) for title, found in findings if found]
    if not parts:
        return f"I have {len(rows)} CometAPI keys, and a review found nothing to do about them. Tell me so."
    return (
        f"Review my {len(rows)} CometAPI keys with me. What stands out:\n\n" + "\n\n".join(parts) + "\n\nGo through it "
        "with me, most dangerous first. Say what you would do with each key and why, and change or delete nothing "
        "before I have agreed to that very key."
    )


def _by_life(rows: list[Key], now: float) -> tuple[list[Key], list[Key], list[Key], list[Key]]:
    """The keys that work, are switched off, are spent, have expired: each where what has to be fixed first stands."""
    alive: list[Key] = []
    off: list[Key] = []
    spent: list[Key] = []
    expired: list[Key] = []
    for row in rows:
        state = row.state(now)
        if state.has("expired"):
            expired.append(row)
        elif state.has("exhausted"):
            spent.append(row)
        else:
            (alive if state.works else off).append(row)
    return alive, off, spent, expired


def _finding(title: str, rows: list[Key], now: float, units: Units) -> str:
    lines = [
        f"- {row.id} {quoted(row.name)}, {row.state(now).word}, "
        f"{'no budget' if row.unlimited_quota else units.usd(row.remain_quota) + ' left'}, "
        f"ends {expiry(row.expired_time)}, last used {last_used(row)}"
        for row in rows[:_MOST_NAMED]
    ]
    more = [f"- and {len(rows) - _MOST_NAMED} more"] if len(rows) > _MOST_NAMED else []
    return "\n".join([f"{title} ({len(rows)}):", *lines, *more])


def _said(prompt: Prompt, text: str) -> GetPromptResult:
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=prompt.description, messages=[message])
