//! Working time: working days and hours of a calendar, as intervals in UTC.
//!
//! Python compiles them from zones, holidays and hours (`dataflows/core/working_time.py`).

/// No instant: a deadline outside the calendar's years.
pub const BEYOND_MS: i64 = 1 << 61;

/// A calendar: the working days, and the working hours, as intervals in ms UTC.
#[derive(Debug)]
pub struct WorkingTime {
    /// What errors call it: its name, and the years that it was compiled for.
    pub shown: String,
    /// The first instant of its years.
    pub begins_at: i64,
    /// The end of its years.
    pub ends_at: i64,
    /// The working days.
    pub days: Intervals,
    /// The working hours.
    pub hours: Intervals,
    /// For each day the instant from which on the next one counts; or empty.
    pub cut_off: Vec<i64>,
}

impl WorkingTime {
    /// The instant at which `working_ms` of working time have passed since `at`.
    ///
    /// Of days, an instant after a day's cut-off counts from the end of that day on. `BEYOND_MS`
    /// where `at` or that instant is outside the calendar's years.
    pub fn later(&self, at: i64, working_ms: i64, in_hours: bool) -> i64 {
        if at < self.begins_at || at > self.ends_at {
            return BEYOND_MS;
        }
        if in_hours {
            return self.hours.later(at, working_ms);
        }
        self.days.later(self.after_cut_off(at), working_ms)
    }

    /// All working time of its years, in ms.
    pub fn total(&self, in_hours: bool) -> i64 {
        self.intervals(in_hours).total()
    }

    /// The last instant of which `working_ms` of working time are left, a cut-off aside.
    pub fn latest(&self, working_ms: i64, in_hours: bool) -> i64 {
        self.intervals(in_hours).latest(working_ms)
    }

    fn intervals(&self, in_hours: bool) -> &Intervals {
        if in_hours { &self.hours } else { &self.days }
    }

    /// `at`, or the end of its working day where that day's cut-off has passed.
    fn after_cut_off(&self, at: i64) -> i64 {
        let Some(place) = self.days.place(at).filter(|_| !self.cut_off.is_empty()) else {
            return at;
        };
        let end = self.days.ends[place];
        if at < end && at >= self.cut_off[place] { end } else { at }
    }
}

/// Intervals in order, and how much time lies before each.
#[derive(Debug, Default)]
pub struct Intervals {
    begins: Vec<i64>,
    ends: Vec<i64>,
    before: Vec<i64>, // one more than there are intervals
}

impl Intervals {
    /// Index intervals (begin, end), which don't overlap.
    pub fn new(intervals: &[(i64, i64)]) -> Self {
        let mut before = vec![0];
        for (begin, end) in intervals {
            before.push(before[before.len() - 1] + end - begin);
        }
        Intervals {
            begins: intervals.iter().map(|each| each.0).collect(),
            ends: intervals.iter().map(|each| each.1).collect(),
            before,
        }
    }

    fn total(&self) -> i64 {
        self.before[self.before.len() - 1]
    }

    /// The last instant with `working_ms` of the intervals after it.
    fn latest(&self, working_ms: i64) -> i64 {
        let left = self.total() - working_ms;
        let place = self.before.partition_point(|before| *before <= left) - 1;
        match self.begins.get(place) {
            Some(begin) => begin + left - self.before[place],
            None => self.ends[place - 1],
        }
    }

    /// The last interval that has begun by `at`.
    fn place(&self, at: i64) -> Option<usize> {
        self.begins.partition_point(|begin| *begin <= at).checked_sub(1)
    }

    /// The instant at which `working_ms` within the intervals have passed since `at`.
    fn later(&self, at: i64, working_ms: i64) -> i64 {
        if working_ms == 0 {
            return at;
        }
        let passed = |place| self.before[place] + at.min(self.ends[place]) - self.begins[place];
        let due = self.place(at).map_or(0, passed) + working_ms;
        if due > self.total() {
            return BEYOND_MS;
        }
        // The first interval that is filled by then; at its very end, not at the next one's begin.
        let first = self.before.partition_point(|before| *before < due) - 1;
        self.begins[first] + due - self.before[first]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instants::{DAY_MS, HOUR_MS};

    /// Days 0 to 4 and 7 to 11, as a week from Monday to Friday has them, 09:00 to 17:00.
    fn office(cut_off: Option<i64>) -> WorkingTime {
        let days: Vec<i64> = (0..5).chain(7..12).map(|day| day * DAY_MS).collect();
        let whole: Vec<_> = days.iter().map(|day| (*day, day + DAY_MS)).collect();
        let hours: Vec<_> =
            days.iter().map(|day| (day + 9 * HOUR_MS, day + 17 * HOUR_MS)).collect();
        WorkingTime {
            shown: "calendar.office (1970 to 1970)".to_owned(),
            begins_at: 0,
            ends_at: 14 * DAY_MS,
            days: Intervals::new(&whole),
            hours: Intervals::new(&hours),
            cut_off: cut_off.map_or(vec![], |at| days.iter().map(|day| day + at).collect()),
        }
    }

    #[test]
    fn working_days_skip_the_weekend() {
        let friday_noon = 4 * DAY_MS + 12 * HOUR_MS;
        assert_eq!(office(None).later(friday_noon, DAY_MS, false), 7 * DAY_MS + 12 * HOUR_MS);
        assert_eq!(office(None).later(5 * DAY_MS + 1, DAY_MS, false), 8 * DAY_MS);
        assert_eq!(office(None).later(0, 5 * DAY_MS, false), 5 * DAY_MS);
        assert_eq!(office(None).later(5 * DAY_MS + 1, 0, false), 5 * DAY_MS + 1);
    }

    #[test]
    fn working_hours_end_in_the_evening() {
        let at_16 = 16 * HOUR_MS;
        assert_eq!(office(None).later(at_16, HOUR_MS, true), 17 * HOUR_MS);
        assert_eq!(office(None).later(at_16, 2 * HOUR_MS, true), DAY_MS + 10 * HOUR_MS);
        assert_eq!(office(None).later(20 * HOUR_MS, HOUR_MS, true), DAY_MS + 10 * HOUR_MS);
    }

    #[test]
    fn from_its_cut_off_on_a_day_counts_as_over() {
        let office = office(Some(14 * HOUR_MS));
        assert_eq!(office.later(14 * HOUR_MS - 1, DAY_MS, false), DAY_MS + 14 * HOUR_MS - 1);
        assert_eq!(office.later(14 * HOUR_MS, DAY_MS, false), 2 * DAY_MS);
        assert_eq!(office.later(14 * HOUR_MS, HOUR_MS, true), 15 * HOUR_MS);
    }

    #[test]
    fn outside_the_years_there_is_no_instant() {
        let office = office(None);
        assert_eq!(office.later(-1, DAY_MS, false), BEYOND_MS);
        assert_eq!(office.later(14 * DAY_MS + 1, DAY_MS, false), BEYOND_MS);
        assert_eq!(office.later(0, 10 * DAY_MS, false), 12 * DAY_MS);
        assert_eq!(office.later(1, 10 * DAY_MS, false), BEYOND_MS);
        assert_eq!(office.latest(10 * DAY_MS, false), 0);
        assert_eq!(office.latest(DAY_MS, false), 11 * DAY_MS);
        assert_eq!(office.latest(0, false), 12 * DAY_MS);
        assert_eq!((office.total(false), office.total(true)), (10 * DAY_MS, 80 * HOUR_MS));
    }
}
