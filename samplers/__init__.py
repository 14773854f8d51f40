"""Published sampling algorithms, one to a file."""
