"""Normal forms of waybills and foreign numbers: what is compared, never what is shown.

Unicode NFKC (UAX #15) makes full-width digits and letters the usual ones.
"""

import re
from functools import lru_cache
from unicodedata import normalize

# White space and every hyphen and dash (Unicode category Pd, and the minus sign).
FILLING = re.compile(r"[\s\-\u2010-\u2015\u2212\u2e3a\u2e3b\u301c\u3030\ufe31\ufe32\ufe58]+")
WAYBILL_KINDS = frozenset({"waybill", "return_waybill"})
REMEMBERED = 65_536  # a parcel's scans come close together


@lru_cache(maxsize=REMEMBERED)
def as_waybill(text: str) -> str:
    """The normal form of a waybill: NFKC, upper case, without white space and hyphens."""
    if text.isascii() and text.isalnum():
        return text.upper()
    return FILLING.sub("", normalize("NFKC", text).upper())


@lru_cache(maxsize=REMEMBERED)
def as_number(text: str) -> str:
    """The normal form of any other number: NFKC, upper case, trimmed ("1-23" is not "12-3")."""
    return normalize("NFKC", text).upper().strip()


def as_kind(kind: str, number: str) -> str:
    """The normal form of a number of a kind (`waybill`, `erp`, …)."""
    return as_waybill(number) if kind in WAYBILL_KINDS else as_number(number)
