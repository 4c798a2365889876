"""The subcommands, one module each; `__main__` imports only the one that was asked for."""
