//! Calendar of forgetting: by day, the numbers of which an order may have to be forgotten after it.

use std::collections::BTreeMap;

/// Numbers examined when the watermark advances, beside two for each that came since. 64 shards at
/// five advances a second examine 32,000 a second; at 1M orders a day 24 leave in a second.
pub const LOOKED_AT_ONCE: usize = 100;

/// Places of numbers (the beginning of their hash) by the last day on which all of their orders count
/// for certain.
///
/// A number stands here once: for the day of its first event, then for the day known when that one
/// was examined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days(BTreeMap<i64, Vec<u32>>);

impl Days {
    /// Put a place on a day.
    pub fn note(&mut self, day: i64, place: u32) {
        self.0.entry(day).or_default().push(place);
    }

    /// Take out up to `count` places of days before `day`, the earliest day first.
    pub fn take_before(&mut self, day: i64, count: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(mut first) = self.0.first_entry() {
            if *first.key() >= day || taken.len() == count {
                break;
            }
            let places = first.get_mut();
            let kept = places.len().saturating_sub(count - taken.len());
            taken.extend(places.drain(kept..));
            if places.is_empty() {
                first.remove();
            }
        }
        taken
    }

    /// Days and their places.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &[u32])> {
        self.0.iter().map(|(&day, places)| (day, &**places))
    }
}

impl FromIterator<(i64, Vec<u32>)> for Days {
    fn from_iter<T: IntoIterator<Item = (i64, Vec<u32>)>>(days: T) -> Self {
        Days(days.into_iter().collect())
    }
}
