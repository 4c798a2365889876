"""Where a key's value goes, and the mask that stands for it everywhere else.

A store is checked before a key is created, so that a full disk or a wrong permission is found while it still costs
nothing.

    files     one 0600 dotenv file per key (the default), or a line of a file that is already there
    keychain  the system's keychain, with the extra cometapi-mcp[keyring]
    result    the tool's result: plaintext to the model, only where the operator says so
    none      nowhere

Beside the store, a value goes into dotenv files of the person's own programs (env_files), where git ignores them (git),
and to places for programs elsewhere (elsewhere): secrets of GitHub (github), what a command takes (command).
"""

from comet_mcp.secret_store.base import NOWHERE, Forgotten, KeyStore, Saved, Target
from comet_mcp.secret_store.choice import env_files, key_store

__all__ = ["NOWHERE", "Forgotten", "KeyStore", "Saved", "Target", "env_files", "key_store"]
