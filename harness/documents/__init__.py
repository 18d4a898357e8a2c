"""Documents that are made from the code, and checked against it: the tables, and the HTTP calls."""
