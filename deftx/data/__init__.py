"""From raw files to clean text, labelled rows and token ids; families of artificial languages."""
