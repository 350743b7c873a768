"""Tables and figures of scores, and the page of the report."""
