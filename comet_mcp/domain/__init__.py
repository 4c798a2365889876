"""What a key is, without any I/O and without a clock of its own.

key         what is asked for (KeySpec), a record as the API gave it (Key), and whether it can work (Key.state)
"""
