"""Blocks of the configuration, by subject: data alone, validated by pydantic."""
