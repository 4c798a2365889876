"""The calls made with a key: its usage, the models it may call, and a canned chat completion that spends quota."""

import math
from typing import Any

from starlette.responses import Response

from comet_mcp.sandbox.access import admitted, callable_models, usage_key
from comet_mcp.sandbox.account import UNITS_PER_USD, Key
from comet_mcp.sandbox.answers import Asked, JSONAnswer
from comet_mcp.sandbox.catalog import Model
from comet_mcp.sandbox.gojson import WrongBodyError, read_value
from comet_mcp.sandbox.messages import Refused

_REPLY = "This is the CometAPI sandbox: the key works, and nothing was asked of a real model."
_LOG_TYPE_CONSUME = 2
_CATALOG_CREATED = 1_626_777_600
_PER_MILLION = 1_000_000


def usage(asked: Asked) -> Response:
    """What the key that asks has been granted and has used, in quota units. Asking spends nothing."""
    row = usage_key(asked.account, asked.authorization)
    data = {
        "object": "token_usage",
        "name": row.name,
        "total_granted": row.remain_quota + row.used_quota,
        "total_used": row.used_quota,
        "total_available": row.remain_quota,
        "unlimited_quota": row.unlimited_quota,
        "model_limits": row.models,
        "model_limits_enabled": row.model_limits_enabled,
        # Measured: 0 means never here, where a record says -1.
        "expires_at": 0 if row.expired_time == -1 else row.expired_time,
    }
    return JSONAnswer({"code": True, "data": data, "message": "ok"})


def models(asked: Asked) -> Response:
    """The models the key may call."""
    row = admitted(asked.account, asked.secret, asked.ip)
    data = [_entry(model) for model in callable_models(asked.account, row)]
    return JSONAnswer({"data": data, "object": "list", "success": True})


def chat(asked: Asked) -> Response:
    """A short completion that is always the same, and costs the key what the model's price says."""
    row = admitted(asked.account, asked.secret, asked.ip)
    try:
        request = read_value(asked.body)
    except WrongBodyError:
        raise Refused("request.invalid", status=400, error="Invalid request: invalid JSON request body") from None
    name = request.get("model") if isinstance(request, dict) else None
    if row.model_limits_enabled and f"{name or ''}" not in row.models:
        raise Refused("model.forbidden", status=403, model=name or "")
    if not name:
        raise Refused("model.missing", status=400)
    model = next((model for model in asked.account.models if model.id == name), None)
    if model is None:
        group = row.group or asked.account.group
        raise Refused("model.unknown", status=503, code="model_not_found", model=name, group=group)
    asked_tokens = max(1, len(asked.body) // 4)
    said_tokens = len(_REPLY) // 4
    _spend(asked, row, model, asked_tokens=asked_tokens, said_tokens=said_tokens)
    return JSONAnswer(
        {
            "id": f"chatcmpl-{asked.request_id}",
            "object": "chat.completion",
            "created": asked.account.now(),
            "model": model.id,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": _REPLY}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": asked_tokens,
                "completion_tokens": said_tokens,
                "total_tokens": asked_tokens + said_tokens,
            },
        }
    )


def _spend(asked: Asked, row: Key, model: Model, *, asked_tokens: int, said_tokens: int) -> None:
    dollars = (model.input or 0) * asked_tokens / _PER_MILLION + (model.output or 0) * said_tokens / _PER_MILLION
    units = max(1, math.ceil((dollars + (model.per_request or 0)) * UNITS_PER_USD))
    owner = asked.account
    with owner.lock:
        row.remain_quota -= units
        row.used_quota += units
        row.accessed_time = owner.now()
        owner.quota -= units
        owner.used_quota += units
        owner.request_count += 1
        entry: dict[str, Any] = {
            "id": len(owner.log) + 1,
            "user_id": owner.user_id,
            "created_at": owner.now(),
            "type": _LOG_TYPE_CONSUME,
            "content": "",
            "username": owner.username,
            "token_name": row.name,
            "token_id": row.id,
            "model_name": model.id,
            "quota": units,
            "prompt_tokens": asked_tokens,
            "completion_tokens": said_tokens,
            "use_time": 0,
            "is_stream": False,
            "group": row.group or owner.group,
            "ip": asked.ip,
            "request_id": asked.request_id,
            "other": "{}",
        }
        owner.log.append(entry)


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": _CATALOG_CREATED,
        "owned_by": model.provider.lower(),
        "supported_endpoint_types": ["openai"],
    }
