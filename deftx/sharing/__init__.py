"""Modules from and for other tools."""
