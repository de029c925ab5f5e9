"""The `msbench` command. Each verb is a file; torch is imported only by verbs that need it."""

from __future__ import annotations

import sys

import typer

from msbench.cli import compact, data, doctor, leaderboard, measure, plan, plugins, results, run
from msbench.errors import UserError

app = typer.Typer(
    name="msbench",
    help="Compare sparsifiers on multi-task vision networks under one matched budget.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("compact")(compact.compact)
app.command("measure")(measure.measure)
app.command("doctor")(doctor.doctor)
app.add_typer(plugins.app, name="plugins")
app.add_typer(data.app, name="data")
app.add_typer(results.app, name="results")
app.add_typer(leaderboard.app, name="leaderboard")


def main() -> None:
    """Entry point: bad input is one line on standard error and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"msbench: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


if __name__ == "__main__":
    main()
