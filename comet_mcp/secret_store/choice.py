"""Which store the settings ask for."""

from __future__ import annotations

from comet_mcp.secret_store.base import KeyStore, NoStore, ResultStore
from comet_mcp.secret_store.env_files import EnvFiles
from comet_mcp.secret_store.names import host_directory
from comet_mcp.settings import Settings


def key_store(settings: Settings) -> KeyStore:
    """The store that the settings ask for."""
    host = host_directory(settings.base_url)
    if settings.secrets == "file":
        from comet_mcp.secret_store.files import FileStore  # noqa: PLC0415 - only the store in use is loaded

        return FileStore(settings.key_dir / host, settings.key_variables)
    if settings.secrets == "keyring":
        from comet_mcp.secret_store.keychain import KeychainStore  # noqa: PLC0415

        return KeychainStore(host)
    return ResultStore() if settings.secrets == "result" else NoStore()


def env_files(settings: Settings) -> EnvFiles:
    """The dotenv files of the person's own programs, whichever store the settings ask for."""
    return EnvFiles(settings.env_dirs, settings.key_variables, settings.key_dir)
