"""The calls about the gateway and the account: who it is, what it may use. The official cli asks most of them."""

from starlette.responses import Response

from comet_mcp.sandbox.access import admitted
from comet_mcp.sandbox.answers import Asked, JSONAnswer, failure, success

_UNLIMITED_USD = 100_000_000


VERSION = "v0.0.0"


def status(asked: Asked) -> Response:
    """What anyone may know of the gateway: a part of some 70 fields, with those that say what a quota unit is."""
    owner, settings = asked.account, asked.account.settings
    return success(
        {
            "version": VERSION,
            "start_time": int(owner.started),
            "system_name": settings.system_name,
            "server_address": "http://localhost:3000",
            "quota_per_unit": settings.quota_per_unit,
            "quota_display_type": settings.quota_display_type,
            "display_in_currency": settings.quota_display_type != "TOKENS",
            "usd_exchange_rate": settings.usd_exchange_rate,
            "custom_currency_symbol": settings.custom_currency_symbol,
            "custom_currency_exchange_rate": settings.custom_currency_exchange_rate,
            "price": settings.price,
            "enable_data_export": settings.enable_data_export,
            "enable_batch_update": bool(asked.dialect.batch_seconds),
            "self_use_mode_enabled": False,
            "demo_site_enabled": False,
            "setup": True,
        }
    )


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
    group = asked.query.get("group", "")
    if asked.dialect.models_by_group and group and group not in asked.account.groups:
        return success([])
    return success([model.id for model in asked.account.models])


def month(asked: Asked) -> Response:
    """The month's numbers that the official cli shows; US dollars and per cent."""
    owner = asked.account
    return success(
        {
            "month_req_count": owner.request_count,
            "req_rate": 0.0,
            "month_usage": owner.used_quota / owner.settings.quota_per_unit,
            "usage_rate": 0.0,
            "month_success_rate": 100.0,
            "predicted_days": -1,
        }
    )


def subscription(asked: Asked) -> Response:
    """A key's limit in US dollars, as OpenAI once answered it; 100,000,000 for an unlimited key."""
    row = admitted(asked.account, asked.secret, asked.ip)
    granted = (row.remain_quota + row.used_quota) / asked.account.settings.quota_per_unit
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
    return JSONAnswer({"object": "list", "total_usage": row.used_quota / asked.account.settings.quota_per_unit * 100})
