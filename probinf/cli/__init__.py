"""The command line: `probinf generate`, `figures`, `models` and `check`."""

from probinf.cli._main import main as main
