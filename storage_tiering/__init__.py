"""Where orders can be found: hot for hours, warm for months, the archive for ever."""
