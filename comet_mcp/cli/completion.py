"""`cometapi-mcp completion`: what a shell needs to complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from comet_mcp.cli.beginning import COMPLETING
from comet_mcp.cli.terminal import examples

_PLACES = {
    "bash": 'Add to ~/.bashrc:\n  eval "$(cometapi-mcp completion bash)"',
    "zsh": 'Add to ~/.zshrc, after compinit:\n  eval "$(cometapi-mcp completion zsh)"',
    "fish": "Run once:\n  cometapi-mcp completion fish > ~/.config/fish/completions/cometapi-mcp.fish",
    "powershell": "Add to the file that $PROFILE names:\n"
    "  cometapi-mcp completion powershell | Out-String | Invoke-Expression",
}
"""Where each shell wants it."""


@click.command(
    "completion",
    epilog=examples('eval "$(cometapi-mcp completion bash)"', "cometapi-mcp completion zsh >> ~/.zshrc"),
)
@click.argument("shell", type=click.Choice(list(_PLACES)))
def command(shell: str) -> None:
    """Print the lines by which a shell completes the commands of cometapi-mcp.

    They begin with a comment that says where they go.
    """
    from comet_mcp.cli.root import root  # noqa: PLC0415 - it loads this module

    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"This version of click has no completion for {shell}; 8.5 and later have it.")
    for line in _PLACES[shell].splitlines():
        click.echo(f"# {line}")
    click.echo(found(root, {}, "cometapi-mcp", COMPLETING).source())
