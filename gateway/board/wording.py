"""Words of the pages: texts, instants and spans of time in a language and a time zone."""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import NamedTuple

from schemas.alert_text import EN_MONTHS, AlertText, Language, moment_of, promised_day
from schemas.instants import (
    DAY_MS,
    EPOCH,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    parse_instant,
    to_instant,
)

TEXTS = Path(__file__).with_name("texts.toml")
LANGUAGES: tuple[Language, ...] = ("en", "zh")
EN_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ZH_DAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
MANY_MS = 2 * DAY_MS  # from here on a span has days


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """All texts of the pages: key → language → text."""
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))


def text_of(language: Language, key: str, **values: object) -> str:
    """The text of a key in a language, with its values."""
    return texts()[key][language].format_map(values)


class Words(NamedTuple):
    """Words in a language and a time zone; `alerts` has the labels of rules and statuses."""

    language: Language
    zone: tzinfo
    alerts: AlertText

    def say(self, key: str, **values: object) -> str:
        """The text of a key, with its values."""
        return text_of(self.language, key, **values)

    def raw(self, key: str) -> str:
        """The text of a key with its placeholders, for scripts."""
        return texts()[key][self.language]

    def has(self, key: str) -> bool:
        """Return True if there is a text of this key."""
        return key in texts()

    def status(self, code: str | None) -> str:
        """Label of a status."""
        return self.alerts.status(code) if code else self.say("status.none")

    def rule(self, rule: str) -> str:
        """Label of a rule."""
        return self.alerts.rule(rule)

    def local(self, at: int) -> datetime:
        """An instant (ms) in the zone."""
        return (EPOCH + timedelta(milliseconds=at)).astimezone(self.zone)

    def clock(self, at: int) -> str:
        """`23:52`."""
        return f"{self.local(at):%H:%M}"

    def day(self, at: int, *, weekday: bool = False, year_of: int | None = None) -> str:
        """`31 Dec`, `Mon 31 Dec`; with the year unless it is that of `year_of` (ms)."""
        moment = self.local(at)
        year = "" if year_of is None or self.local(year_of).year == moment.year else moment.year
        if self.language == "zh":
            day = f"{year}年" if year else ""
            day += f"{moment.month}月{moment.day}日"
            return f"{day} {ZH_DAYS[moment.weekday()]}" if weekday else day
        day = f"{moment.day} {EN_MONTHS[moment.month - 1]}"
        day = f"{day} {year}" if year else day
        return f"{EN_DAYS[moment.weekday()]} {day}" if weekday else day

    def stamp(self, at: int, now: int | None = None) -> str:
        """`31 Dec 23:52`; with the year if it isn't that of `now`."""
        return f"{self.day(at, year_of=now)} {self.clock(at)}"

    def promise(self, instant: str | None, now: int) -> str:
        """The day of a promise that is a whole day, else its day and time; "" without one."""
        moment = moment_of(instant or "")
        if instant is None or moment is None:
            return ""
        day = promised_day(instant)
        if day == instant:
            return self.stamp(parse_instant(instant), now)
        return self.day(self.noon(day), year_of=now)

    def noon(self, day: str) -> int:
        """Noon of a date in the zone (ms): an instant that is shown as that date."""
        return to_instant(datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=self.zone))

    def span(self, duration_ms: int) -> str:
        """`2 d 3 h`, `51 h`, `12 min`, `48 s`: the two largest units that matter."""
        rest = abs(duration_ms)
        if rest < MINUTE_MS:
            return self.say("span.s", n=rest // SECOND_MS)
        if rest < HOUR_MS:
            return self.say("span.m", n=rest // MINUTE_MS)
        if rest < MANY_MS:
            hours, minutes = divmod(rest // MINUTE_MS, 60)
            if hours < 12 and minutes:  # noqa: PLR2004 - over half a day, minutes don't matter
                return self.say("span.hm", h=hours, m=minutes)
            return self.say("span.h", n=hours)
        days, hours = divmod(rest // HOUR_MS, 24)
        if days < 10 and hours:  # noqa: PLR2004 - over ten days, hours don't matter
            return self.say("span.dh", d=days, h=hours)
        return self.say("span.d", n=days)

    def number(self, value: float) -> str:
        """`24,113`; one decimal of what is no whole number."""
        return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
