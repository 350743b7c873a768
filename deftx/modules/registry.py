"""Types of modules: what the configuration calls them, and the code behind each.

A registry holds data alone and imports nothing, so that asking it costs nothing and a new entry changes no hash of
code but that of what uses it (`deftx.core.hashing.code_of`).
"""

CODE = {"adapter": "deftx.modules.adapters", "lora": "deftx.modules.lora"}
"""Module that loads, checks and applies a file, by the kind that the file states; all other kinds are vectors."""
