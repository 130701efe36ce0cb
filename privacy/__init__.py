"""Personal data: sealed under a key per customer, so that erasing the key erases the person."""
