"""What a key is and what it may be, without any I/O and without a clock of its own: `now` is an argument.

key         what is asked for (KeySpec), a record as the API gave it (Key), and whether it can work (Key.state)
models      the comma-separated list of models
addresses   the list of IP addresses, and what it lets through
money       quota units and US dollars
lifetimes   human words for times, Unix seconds, dates
change      a change of a key, and whether the key can do more after it
validation  what a key's settings must be before anything is sent, and the warnings
"""
