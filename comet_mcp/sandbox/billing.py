"""What a model call reserves at its start, and what it costs at its end (measured on live servers)."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from comet_mcp.sandbox.access import admitted
from comet_mcp.sandbox.account import Account
from comet_mcp.sandbox.balances import Move
from comet_mcp.sandbox.catalog import Model
from comet_mcp.sandbox.key import Key
from comet_mcp.sandbox.messages import Refused
from comet_mcp.sandbox.usage_log import ERROR

LEAST_RESERVED_TOKENS = 500
"""A shorter prompt reserves as if it had so many tokens."""

_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs a group, in the gateway's terms."""

    model_ratio: Decimal
    """Quota units for a token of the prompt; 0 where each call has a fixed price."""
    completion_ratio: Decimal
    """How many times dearer a token of the answer is."""
    per_call: Decimal | None
    """US dollars for a call; None where it goes by tokens."""
    group_ratio: Decimal
    quota_per_unit: Decimal

    @property
    def is_free(self) -> bool:
        """Whether a call costs nothing, so that nothing is reserved for it either."""
        return not self.group_ratio or not (self.model_ratio if self.per_call is None else self.per_call)

    def reserved(self, prompt_tokens: int, max_tokens: int) -> int:
        """The quota units that a call reserves: whole, cut off."""
        if self.per_call is not None:
            return int(self._fixed(self.per_call))
        tokens = max(prompt_tokens, LEAST_RESERVED_TOKENS) + max_tokens
        return int(tokens * self.model_ratio * self.group_ratio)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The quota units that a call costs: half up; at least 1 where it used tokens that are not free."""
        if not prompt_tokens + completion_tokens:
            return 0
        if self.per_call is not None:
            units = self._fixed(self.per_call)
        else:
            tokens = prompt_tokens + completion_tokens * self.completion_ratio
            units = tokens * self.model_ratio * self.group_ratio
        return max(int(units.quantize(Decimal(1), ROUND_HALF_UP)), 0 if self.is_free else 1)

    def _fixed(self, dollars: Decimal) -> Decimal:
        return dollars * self.quota_per_unit * self.group_ratio


class ModelCall:
    """A model call in flight. What it reserved is set right by `end` or `abort`, whichever comes first."""

    def __init__(self, account: Account, row: Key, price: Price, entry: dict[str, Any]) -> None:
        self.account = account
        self.row = row
        self.price = price
        self.reserved = 0
        """Quota units that the key and the account have less while the call runs."""
        self._entry = entry
        self._started = account.clock()
        # What a call of a database that was begun anew moves is nobody's.
        self._balances = account.balances
        self._over = False

    def reserve(self, units: int) -> None:
        """Take what the call may cost from the key and the account.

        Raises:
            Refused: the key or the account has less left.
        """
        account, settings = self.account, self.account.settings
        left, key_left = account.balances.left, account.balances.left_of(self.row)
        if left <= 0:
            raise Refused(
                "reserve.account_empty", status=403, code="insufficient_user_quota", left=settings.amount(left)
            )
        needs = settings.amount(units)
        if left < units:
            raise Refused(
                "reserve.account_short",
                status=403,
                code="insufficient_user_quota",
                left=settings.amount(left),
                needs=needs,
            )
        if self._is_trusted(left, key_left):
            return
        if not self.row.unlimited_quota and key_left < units:
            raise Refused(
                "reserve.key_short",
                status=403,
                code="pre_consume_token_quota_failed",
                left=settings.amount(key_left),
                needs=needs,
            )
        self.reserved = units
        self._move(Move(self.row, units))

    def end(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Bill what the call used, and give back or take what its reservation was too large or too small.

        A call whose client gave up is billed whole too (measured). Returns the quota units that it cost.

        Raises:
            RuntimeError: the call is over.
        """
        with self.account.lock:
            self._finish()
            units = self.price.cost(prompt_tokens, completion_tokens)
            used = bool(prompt_tokens + completion_tokens)
            self._move(Move(self.row, units - self.reserved, spent=units, requests=int(used)))
            if self.account.settings.log_consumption:
                self._note(quota=units, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            return units

    def abort(self) -> None:
        """The call failed upstream: what it reserved is given back.

        Raises:
            RuntimeError: the call is over.
        """
        with self.account.lock:
            self._finish()
            self._move(Move(self.row, -self.reserved))
            if self.account.settings.log_errors:
                self._note(type=ERROR)

    def _is_trusted(self, left: int, key_left: int) -> bool:
        above = self.account.settings.trusted_above
        return above > 0 and left > above and (self.row.unlimited_quota or key_left > above)

    def _finish(self) -> None:
        if self._over:
            raise RuntimeError("This model call is over.")
        self._over = True
        self.account.catch_up()

    def _move(self, move: Move) -> None:
        if self._balances is self.account.balances and (move.units or move.requests):
            self._balances.move(move)

    def _note(self, **fields: Any) -> None:
        if self._balances is self.account.balances:
            self.account.note(**self._entry, **fields, use_time=int(self.account.clock() - self._started))


def begin_call(
    account: Account,
    secret: str,
    model: str,
    *,
    prompt_tokens: int = 0,
    max_tokens: int = 0,
    ip: str = "127.0.0.1",
    request_id: str = "",
) -> ModelCall:
    """Begin a model call with the key of that value, and reserve what it may cost.

    Args:
        account: the account whose key it is.
        secret: the key's value, without `sk-`.
        model: the model's id; "" for none.
        prompt_tokens: what the gateway guesses the prompt to be, before the call.
        max_tokens: the longest answer that the caller allows; 0 where it named none, which reserves nothing for it.
        ip: the caller's address.
        request_id: the id that the answer carries.

    Raises:
        Refused: the key may not make this call, or has not enough left for the reservation.
    """
    with account.lock:
        account.catch_up()
        row = admitted(account, secret, ip)
        found = _model(account, row, model)
        group = _group(account, row)
        price = _price(account, found, group)
        entry = {
            "token_name": row.name,
            "token_id": row.id,
            "model_name": found.id,
            "channel": 1,
            "group": group,
            "ip": ip if account.settings.record_ip_log else "",
            "request_id": request_id,
            "other": _other(price),
        }
        call = ModelCall(account, row, price, entry)
        if not price.is_free:
            call.reserve(price.reserved(prompt_tokens, max_tokens))
        return call


def _group(account: Account, row: Key) -> str:
    group = row.group or account.group
    if group != "auto":
        return group
    return (row.auto_groups or [name for name in account.groups if name != "auto"])[0]


def _model(account: Account, row: Key, name: str) -> Model:
    if row.model_limits_enabled and name not in row.models:
        raise Refused("model.forbidden", status=403, model=name)
    if not name:
        raise Refused("model.missing", status=400)
    for model in account.models:
        if model.id == name:
            return model
    # Measured: a key of the group `auto` is told of that group, none having been chosen yet.
    group = row.group or account.group
    raise Refused("model.unknown", status=503, code="model_not_found", model=name, group=group)


def _price(account: Account, model: Model, group: str) -> Price:
    fixed = model.per_request if model.per_request is not None else model.per_second
    prompt, completion = _decimal(model.input or 0), _decimal(model.output or 0)
    return Price(
        # A ratio of 1 is 2 US dollars for a million tokens, whatever a US dollar's units are (measured).
        model_ratio=prompt / 2,
        completion_ratio=completion / prompt if prompt else Decimal(0),
        per_call=None if fixed is None else _decimal(fixed),
        group_ratio=_decimal(account.groups[group]["ratio"]),
        quota_per_unit=_decimal(account.settings.quota_per_unit),
    )


def _decimal(number: float) -> Decimal:
    return Decimal(str(number))


def _other(price: Price) -> dict[str, Any]:
    return {
        "billing_source": "wallet",
        "cache_ratio": 0.5,
        "cache_tokens": 0,
        "completion_ratio": float(price.completion_ratio),
        "frt": -1000,
        "group_ratio": float(price.group_ratio),
        "model_price": -1 if price.per_call is None else float(price.per_call),
        "model_ratio": float(price.model_ratio),
        "request_conversion": ["OpenAI Compatible"],
        "request_path": _PATH,
        "user_group_ratio": -1,
    }
