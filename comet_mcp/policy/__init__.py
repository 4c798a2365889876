"""What agents may do with keys.

    rule      what every rule is, and the forms in which a value is written
    rules     the rules on one key, and RULES, the list of all
    sums      the rules on how many keys are made and what budgets they get
    windows   counts and sums over time, and when there is room again
    policy    the rules in force: which of them would the key that results break?
    reading   the policy as a person writes it, in the environment or the config file
    enforcer  the refusal, with what to send instead

All of it is pure; what has to be counted in the journal is in comet_mcp.keys.allowance. A new rule is a class in
`rules` or `sums` and a line in RULES: the settings, the tables and every sentence follow.
"""
