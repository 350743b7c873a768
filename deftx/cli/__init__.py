"""Verbs of the command line, by stage; `deftx.cli.app` makes commands of them.

Heavy libraries are imported inside the verbs, so that help and the light stages start at once.
"""
