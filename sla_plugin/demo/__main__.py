"""`python -m sla_plugin.demo [--check]`: the product beside a Zendesk simulator, with targets of seconds."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from sla_plugin.demo.check import check
from sla_plugin.demo.story import play
from sla_plugin.errors import SlaPluginError

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--check", "checking", is_flag=True, help="Play one breach and say by exit code whether the helpdesk saw exactly what it should, in time.")
@click.option("--dry-run", "mode", flag_value="dry-run", help="Leave the connection in dry-run: nothing is written back (and --check fails).")
@click.option("--live", "mode", flag_value="live", default="live", help="Write back (the default).")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".demo"), show_default=True, help="Where its data goes; made anew.")
def main(checking: bool, mode: str, folder: Path) -> None:
    """Run the product beside a Zendesk simulator. Nothing outside this machine is called, nothing outside --folder is written.

    Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.
    """
    for number in _ENDINGS:
        signal.signal(number, _leave)
    try:
        if checking:
            problems = check(folder, mode, _say)
            for problem in problems:
                click.echo(f"wrong: {problem}", err=True)
            if problems:
                sys.exit(1)
            _say("all as it should be")
        else:
            play(folder, mode, _say)
    except SlaPluginError as problem:
        click.echo(f"error: {problem}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _say("ended")


def _say(line: str) -> None:
    print(line, flush=True)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _ENDINGS:  # once is enough: ending takes seconds at most
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


main(prog_name="python -m sla_plugin.demo")
