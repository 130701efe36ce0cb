"""`ordertide privacy`: the personal data of a customer."""
