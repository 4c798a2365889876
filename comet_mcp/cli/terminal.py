"""What the commands for people have in common: how one is run, and what its mistakes look like."""

from __future__ import annotations

import click


def run_command(command: click.Command, arguments: list[str]) -> int:
    """Run a command. Returns its exit status: 2 for wrong usage, 130 where the person interrupts it."""
    try:
        status: int = command.main(arguments, prog_name=f"cometapi-mcp {command.name}", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("\nStopped.", err=True)
        return 130
    return status
