"""Views: rows of datasets, transformed; training and test rows alike. One module for each transform."""
