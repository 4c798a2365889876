"""The journal: what all servers of a user have to remember together, in one SQLite file without any secret in it.

    file          the file itself: opened, locked, explained where it can't be
    intents       creates: begun before they are sent, and how far each came
    claims        which row of the API is which create's
    rotations     keys that are being replaced
    ledger        keys made and budgets given, for the policy
    reveals       calls that revealed a value, for the API's limit
    used_answers  what a person has confirmed, once each

The rows of the audit trail are in the same file; comet_mcp.audit writes them.
"""
