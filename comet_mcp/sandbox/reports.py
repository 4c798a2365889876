"""The calls about the account: who it is, what it may use and has spent. The official cli asks most of them."""

import csv
import io
from typing import Any

from starlette.responses import Response

from comet_mcp.sandbox.access import admitted
from comet_mcp.sandbox.account import UNITS_PER_USD
from comet_mcp.sandbox.answers import Asked, JSONAnswer, failure, success
from comet_mcp.sandbox.listing import page
from comet_mcp.sandbox.messages import Refused

_UNLIMITED_USD = 100_000_000


def account(asked: Asked) -> Response:
    """Who the account is and what it has left, in quota units."""
    owner = asked.account
    return success(
        {
            "id": owner.user_id,
            "username": owner.username,
            "display_name": "Sandbox",
            "email": "sandbox@example.com",
            "role": 1,
            "status": 1,
            "group": owner.group,
            "quota": owner.quota,
            "used_quota": owner.used_quota,
            "request_count": owner.request_count,
            "aff_code": "",
            "setting": "",
        }
    )


def groups(asked: Asked) -> Response:
    """The groups whose models the account may use, with their price ratios."""
    return success(asked.account.groups)


def catalog(asked: Asked) -> Response:
    """The models there are: with prices as documented, or a gateway's ids by channel type."""
    models = asked.account.models
    if asked.dialect.public_catalog:
        entries = [model.entry() for model in models]
        return JSONAnswer({"success": True, "page": 0, "page_size": 0, "total": len(entries), "data": entries})
    providers = sorted({model.provider for model in models})
    by_channel = {
        f"{number}": [model.id for model in models if model.provider == provider]
        for number, provider in enumerate(providers, start=1)
    }
    return JSONAnswer({"data": by_channel, "success": True})


def catalog_entry(asked: Asked) -> Response:
    """One model of the documented catalog, by its code."""
    code = asked.http.path_params["code"]
    for model in asked.account.models:
        if code in (model.code, model.id):
            return success(model.entry())
    return failure("model not found")


def usable_models(asked: Asked) -> Response:
    """The ids of the models the account may use."""
    return success([model.id for model in asked.account.models])


def log(asked: Asked) -> Response:
    """A page of what was called, newest first."""
    return success(page(_selected(asked), asked.query))


def log_search(asked: Asked) -> Response:
    """What was called, by a word; gateways have retired the call."""
    if not asked.dialect.public_catalog:
        raise Refused("log.retired")
    word = asked.query.get("keyword", "")
    return success([entry for entry in _selected(asked) if word in f"{entry['model_name']} {entry['token_name']}"])


def log_export(asked: Asked) -> Response:
    """What was called, as CSV."""
    out = io.StringIO()
    columns = ("created_at", "token_name", "model_name", "quota", "prompt_tokens", "completion_tokens", "request_id")
    rows = csv.DictWriter(out, columns, extrasaction="ignore")
    rows.writeheader()
    rows.writerows(_selected(asked))
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8")


def stat(asked: Asked) -> Response:
    """The sum of quota units over the log, and the requests and tokens of the last minute."""
    entries = _selected(asked)
    recent = [entry for entry in entries if entry["created_at"] > asked.account.now() - 60]
    tokens = sum(entry["prompt_tokens"] + entry["completion_tokens"] for entry in recent)
    return success({"quota": sum(entry["quota"] for entry in entries), "rpm": len(recent), "tpm": tokens})


def month(asked: Asked) -> Response:
    """The month's numbers that the official cli shows; US dollars and per cent."""
    owner = asked.account
    return success(
        {
            "month_req_count": owner.request_count,
            "req_rate": 0.0,
            "month_usage": owner.used_quota / UNITS_PER_USD,
            "usage_rate": 0.0,
            "month_success_rate": 100.0,
            "predicted_days": -1,
        }
    )


def subscription(asked: Asked) -> Response:
    """A key's limit in US dollars, as OpenAI once answered it; 100,000,000 for an unlimited key."""
    row = admitted(asked.account, asked.secret, asked.ip)
    granted = (row.remain_quota + row.used_quota) / UNITS_PER_USD
    limit = _UNLIMITED_USD if row.unlimited_quota else granted
    return JSONAnswer(
        {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            "access_until": max(row.expired_time, 0),
        }
    )


def billing_usage(asked: Asked) -> Response:
    """What a key has spent, in hundredths of a US dollar."""
    row = admitted(asked.account, asked.secret, asked.ip)
    return JSONAnswer({"object": "list", "total_usage": row.used_quota / UNITS_PER_USD * 100})


def _selected(asked: Asked) -> list[dict[str, Any]]:
    query = asked.query
    wanted = {name: query[name] for name in ("token_name", "model_name", "group", "request_id") if query.get(name)}
    start, end = (int(query.get(name) or 0) for name in ("start_timestamp", "end_timestamp"))
    with asked.account.lock:
        return [
            entry
            for entry in reversed(asked.account.log)
            if all(entry[name] == value for name, value in wanted.items())
            and entry["created_at"] >= start
            and (not end or entry["created_at"] <= end)
        ]
