"""What is wrong on this machine, and what helps: every check of `cometapi-mcp doctor`.

    findings       what a check says; each runs on a thread of its own, with a bound
    program        Python, the packages, whose module this is, the command on PATH
    configuration  the settings and where they came from, the form of the token
    connection     the API, TLS, the proxy, the account, its balance, the clock
    places         the key directory, the journal's file, the keychain
    records        what is in the journal: the audit trail, operations in doubt
    clients        the MCP clients' entries; started, `start`

No check writes anything.
"""
