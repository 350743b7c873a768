"""Are the results of two states of the code the same, byte for byte? See `__main__`."""
