//! Sets of statuses. A status is its index in the lifecycle file.

/// A known subject of which no status is known yet.
pub const NO_STATUS: u8 = 255;

/// A set of statuses; `NO_STATUS` may be one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 4]);

impl StatusSet {
    /// Return true if it holds a status.
    pub fn contains(&self, status: u8) -> bool {
        self.0[usize::from(status >> 6)] >> (status & 63) & 1 == 1
    }

    /// Add a status.
    pub fn insert(&mut self, status: u8) {
        self.0[usize::from(status >> 6)] |= 1 << (status & 63);
    }

    /// Return true without any status.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The statuses of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        StatusSet(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// The statuses of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        StatusSet(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The statuses of this one that the other one lacks.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        StatusSet(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// The statuses, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255).filter(|status| self.contains(*status))
    }
}

impl FromIterator<u8> for StatusSet {
    fn from_iter<I: IntoIterator<Item = u8>>(statuses: I) -> Self {
        let mut found = StatusSet::default();
        statuses.into_iter().for_each(|status| found.insert(status));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let set: StatusSet = [0, 63, 64, NO_STATUS].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, NO_STATUS]);
        let other: StatusSet = [63, 65].into_iter().collect();
        assert_eq!(set.and(&other).iter().collect::<Vec<_>>(), [63]);
        assert_eq!(other.without(&set).iter().collect::<Vec<_>>(), [65]);
        assert_eq!(set.or(&other).iter().count(), 5);
        assert!(!set.contains(65) && !set.is_empty() && StatusSet::default().is_empty());
    }
}
