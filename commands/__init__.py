"""One file per command: the places where everything meets."""
