"""Masking of personal data: enough to recognise a person by, too little to learn who it is.

A field's name and form decide: of a name the first letters are left, of a number the last digits,
of a mail address the first letter and the domain, of a place the town, region and country. Whatever
else there is, is hidden whole. The length of what is hidden doesn't show.
"""

import re

HIDDEN = "***"
PLACES = {"city", "town", "region", "state", "province", "country", "country_code"}
NAMES = ("name", "recipient", "receiver", "consignee", "contact")
PHONE = re.compile(r"\+?[\d\s()./-]{6,24}")
PHONES = ("phone", "mobile", "tel", "fax")
MAIL = re.compile(r"[^@\s]+@([^@\s]+\.[^@\s.]+)")
LONG, SHORT = 11, 8  # digits: of the longer ones the first three and last four are left
HAN = re.compile(r"[\u3400-\u9fff]{2,}")
FEWEST_OF_A_NAME = 3  # characters of a Chinese name whose last one is left


def masked(field: str, value: str) -> str:
    """The value of a field (`address.city`) as it may be shown to staff."""
    name = field.rpartition(".")[2].lower()
    if name in PLACES:
        return value
    if mail := MAIL.fullmatch(value.strip()):
        return f"{value.strip()[0]}{HIDDEN}@{mail[1]}"
    if any(part in name for part in PHONES):
        return masked_phone(value)
    if any(part in name for part in NAMES):
        return " ".join(masked_word(word) for word in value.split())
    return HIDDEN


def masked_phone(value: str) -> str:
    """`138****1234`; of a shorter number the last two digits."""
    digits = re.sub(r"\D", "", value) if PHONE.fullmatch(value.strip()) else ""
    if len(digits) >= LONG:
        return f"{digits[:3]}****{digits[-4:]}"
    if len(digits) >= SHORT:
        return f"****{digits[-4:]}"
    return f"****{digits[-2:]}" if digits else HIDDEN


def masked_word(word: str) -> str:
    """`L***`, `张*三`; nothing is left of what isn't a letter."""
    if HAN.fullmatch(word):
        return f"{word[0]}*{word[-1] if len(word) >= FEWEST_OF_A_NAME else ''}"
    return f"{word[0]}{HIDDEN}" if word[0].isalpha() and len(word) > 1 else HIDDEN
