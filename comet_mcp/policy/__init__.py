"""What agents may do with keys.

    policy     the rules: which of them would the key that results break?
    reading    the rules as a person writes them, in the environment or the config file
    words      the rules as sentences
    guard      the refusal, with what to send instead
    nearest    the nearest body of a create, the nearest call of an update
    limits     counts and sums over time
    widening   what a change lets a key do that it could not do before
    addresses  what a list of addresses lets through

All of it is pure; what has to be counted in the journal is in comet_mcp.keys.allowance.
"""
