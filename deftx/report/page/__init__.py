"""Page of the report, and its findings in sentences."""
