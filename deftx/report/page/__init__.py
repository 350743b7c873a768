"""The report on one page, and what it says in words."""
