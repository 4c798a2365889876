"""Everything that can go wrong, as sentences a language model can act on.

    CometError                    code, what happened, what to do next
    ├── ArgumentError             an argument of a tool is wrong; nothing was sent
    ├── SettingsError             the server's own configuration is missing or wrong
    ├── StoreError                the key store can't be written
    │   ├── SlowStoreError        it has not answered, and what it was asked for may still happen
    │   └── UnwrittenError        it can't do what it was asked for, and has written nothing
    ├── JournalError              the journal can't be opened or written
    ├── PolicyError               the operator's policy does not allow it; nothing was sent
    ├── AuditError                the audit trail is required and can't be written
    ├── ConfirmationError         a person has to agree, and has not
    ├── CreateUnclearError        the API may or may not have made the key
    └── APIError                  what the API, or the way to it, answered
        ├── UnsentError           the request provably never left
        ├── RefusedError          the API said no; nothing changed
        │   ├── NotFoundError     no key has this id
        │   ├── UnauthorizedError the access token or the account header is wrong
        │   └── RateLimitedError  too many calls; carries retry_after
        └── UnclearError          it left, and no usable answer came back

`server` turns a CometError into a tool result; what catches one before says why. What decides whether a POST may
have had an effect is the class: UnsentError and RefusedError mean it had none, UnclearError that it may have.
"""

from __future__ import annotations

TOKEN_PAGE = "https://www.cometapi.com/console/personal"  # noqa: S105 - a page's address
"""Where a person finds the access token."""


class CometError(Exception):
    """A failure that was foreseen.

    Args:
        message: One or more sentences: what happened, and what to do next. Safe to show: no secret, no
            control character.
        code: A stable word for programs, such as `key_not_found`.
        request_id: The API's own id of the request, which the vendor's support can look up.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.request_id = request_id

    def __str__(self) -> str:
        reference = f" (request id {self.request_id})" if self.request_id else ""
        return f"[{self.code}] {self.args[0]}{reference}"


class ArgumentError(CometError):
    """An argument of a tool is wrong. Raised before anything is sent."""

    code = "invalid_argument"


class SettingsError(CometError):
    """The server's own configuration is missing or wrong; the person who runs it has to fix it."""

    code = "not_configured"


class StoreError(CometError):
    """The key store can't be written."""

    code = "key_store_unavailable"


class SlowStoreError(StoreError):
    """The key store has not answered. What it was asked for may still happen."""

    code = "key_store_hangs"


class UnwrittenError(StoreError):
    """The key store can't do what it was asked for, and has written nothing of it."""


class JournalError(CometError):
    """The journal can't be opened or written, so nothing may be created."""

    code = "journal_unavailable"


class PolicyError(CometError):
    """The policy of the person who runs the server does not allow it. Raised before anything is changed."""

    code = "policy"


class AuditError(CometError):
    """The audit trail is required and can't be written, so nothing may be changed."""

    code = "audit_unavailable"


class ConfirmationError(CometError):
    """A person has to agree to a call, and has not. Nothing was done."""

    code = "confirmation_needed"


class CreateUnclearError(CometError):
    """A create left, and whether it made a key is not known yet."""

    code = "create_outcome_unknown"


class APIError(CometError):
    """What the API, or the way to it, answered."""

    code = "api_error"


class UnsentError(APIError):
    """The request provably never reached the API: no connection could be made.

    Args:
        message: As of every error.
        code: The same.
        cause: Why, in the words of the message, "" where nothing more is known.
        at_proxy: Whether it was the proxy that could not be reached, or did not pass it on.
    """

    code = "unreachable"

    def __init__(self, message: str, *, code: str | None = None, cause: str = "", at_proxy: bool = False) -> None:
        super().__init__(message, code=code)
        self.cause = cause
        self.at_proxy = at_proxy


class RefusedError(APIError):
    """The API said no, and nothing was changed."""

    code = "refused"


class NotFoundError(RefusedError):
    """No key of the account has this id."""

    code = "key_not_found"


class UnauthorizedError(RefusedError):
    """The API does not accept the access token, or the account header beside it."""

    code = "unauthorized"


class RateLimitedError(RefusedError):
    """Too many calls. `retry_after` is in seconds, None where the API named no time."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: float | None, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after = retry_after


class UnclearError(APIError):
    """The request left and no usable answer came back: a change may or may not have been made."""

    code = "no_usable_answer"
