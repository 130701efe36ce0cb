"""Real data as events: one small adapter a data set, with its licence beside it."""
