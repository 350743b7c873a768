"""`python -m deftx`, as torchrun starts it."""

from deftx.cli.app import app

app()
