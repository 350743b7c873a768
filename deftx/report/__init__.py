"""Tables, figures and the page that are made of scores."""
