"""The whole configuration: loaded, validated, described."""
