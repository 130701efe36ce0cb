//! Instants (ms since 1970, UTC) and their days.

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// The day since 1970 of an instant; negative before 1970.
pub fn day_of(at: i64) -> i64 {
    at.div_euclid(DAY_MS)
}
