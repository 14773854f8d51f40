"""The command line: `probinf generate`, `figures`, `models`, `check` and `serve`."""

from probinf.cli._main import command as command
from probinf.cli._main import main as main
