"""The command `sgu`."""

import typer

from sgu.cli import audit, data
from sgu.cli.compare import compare, methods
from sgu.cli.run import main_command, presets

app = typer.Typer(pretty_exceptions_enable=False)
app.callback(invoke_without_command=True)(main_command)
app.command()(compare)
app.command()(methods)
app.command()(presets)
app.command("audit")(audit.command)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line."""
    app(prog_name="sgu")
