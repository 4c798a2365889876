"""The calls made with a key: its usage, its log, the models it may call, and a canned chat completion that spends."""

from dataclasses import dataclass
from typing import Any

import anyio
from starlette.responses import Response

from comet_mcp.sandbox.access import admitted, callable_models, key_itself, usage_key
from comet_mcp.sandbox.answers import Asked, JSONAnswer, success
from comet_mcp.sandbox.billing import begin_call
from comet_mcp.sandbox.catalog import Model
from comet_mcp.sandbox.gojson import WrongBodyError, plain_value
from comet_mcp.sandbox.messages import Refused

MOST_LOG_ROWS = 1000
"""Rows of a key's own log at most (measured)."""

_REPLY = "This is the CometAPI sandbox: the key works, and nothing was asked of a real model."
_CATALOG_CREATED = 1_626_777_600


def usage(asked: Asked) -> Response:
    """What the key that asks has been granted and has used, in quota units. Asking spends nothing."""
    row = usage_key(asked.account, asked.authorization)
    balances = asked.account.balances
    left, used = balances.left_of(row), balances.used_of(row)
    data = {
        "object": "token_usage",
        "name": row.name,
        "total_granted": left + used,
        "total_used": used,
        "total_available": left,
        "unlimited_quota": row.unlimited_quota,
        "model_limits": row.models,
        "model_limits_enabled": row.model_limits_enabled,
        # Measured: 0 means never here, where a record says -1.
        "expires_at": 0 if row.expired_time == -1 else row.expired_time,
    }
    return JSONAnswer({"code": True, "data": data, "message": "ok"})


def key_log(asked: Asked) -> Response:
    """The latest rows of the log of the key that asks; no filters, no paging."""
    row = key_itself(asked.account, asked.authorization)
    rows = asked.account.log.of_key(row.id, MOST_LOG_ROWS)
    return success([entry.shown(position) for position, entry in enumerate(rows, start=1)])


def models(asked: Asked) -> Response:
    """The models the key may call."""
    row = admitted(asked.account, asked.secret, asked.ip)
    data = [_entry(model) for model in callable_models(asked.account, row)]
    return JSONAnswer({"data": data, "object": "list", "success": True})


@dataclass(frozen=True, slots=True)
class _Chat:
    """What a chat asks for, and what the sandbox is told about it in `metadata`, as texts.

    `sandbox_seconds` is how long the call is in flight, `sandbox_prompt_tokens` and `sandbox_completion_tokens` what it
    is billed for, and `sandbox_upstream_status` an HTTP status with which it fails upstream.
    """

    model: str
    max_tokens: int
    guessed_tokens: int
    """What the prompt is taken for before the call: four bytes are a token."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    upstream_status: int

    @classmethod
    def of(cls, body: bytes) -> "_Chat":
        try:
            request = plain_value(body)
            sent: dict[str, Any] = request if isinstance(request, dict) else {}
            metadata = sent.get("metadata") or {}
            guessed = max(1, len(body) // 4)
            return cls(
                model=f"{sent.get('model') or ''}",
                max_tokens=int(sent.get("max_completion_tokens") or sent.get("max_tokens") or 0),
                guessed_tokens=guessed,
                prompt_tokens=int(metadata.get("sandbox_prompt_tokens", guessed)),
                completion_tokens=int(metadata.get("sandbox_completion_tokens", len(_REPLY) // 4)),
                seconds=float(metadata.get("sandbox_seconds", 0)),
                upstream_status=int(metadata.get("sandbox_upstream_status", 0)),
            )
        except (WrongBodyError, ValueError, TypeError, AttributeError):
            error = "Invalid request: invalid JSON request body"
            raise Refused("request.invalid", status=400, error=error) from None


async def chat(asked: Asked) -> Response:
    """A short completion that is always the same, and costs the key what the model's price says.

    It is in flight as long as the request says. A client that leaves in the meantime pays for it whole.
    """
    chat = _Chat.of(asked.body)
    call = begin_call(
        asked.account,
        asked.secret,
        chat.model,
        prompt_tokens=chat.guessed_tokens,
        max_tokens=chat.max_tokens,
        ip=asked.ip,
        request_id=asked.request_id,
    )
    try:
        await anyio.sleep(chat.seconds)
    finally:
        if chat.upstream_status:
            call.abort()
        else:
            call.end(chat.prompt_tokens, chat.completion_tokens)
    if chat.upstream_status:
        error = {
            "message": "The sandbox was told that this fails.",
            "type": "upstream_error",
            "param": "",
            "code": None,
        }
        return JSONAnswer({"error": error}, chat.upstream_status)
    return JSONAnswer(
        {
            "id": f"chatcmpl-{asked.request_id}",
            "object": "chat.completion",
            "created": asked.account.now(),
            "model": chat.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": _REPLY}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": chat.prompt_tokens,
                "completion_tokens": chat.completion_tokens,
                "total_tokens": chat.prompt_tokens + chat.completion_tokens,
            },
        }
    )


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": _CATALOG_CREATED,
        "owned_by": model.provider.lower(),
        "supported_endpoint_types": ["openai"],
    }
