//! The time a verdict was taken at.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, in whole seconds since 1970-01-01T00:00:00Z. Prints as RFC 3339.
///
/// ```
/// let moment = modelseal::Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
/// assert_eq!(moment.seconds(), 1_795_132_800);
/// assert_eq!(moment.to_string(), "2026-11-20T00:00:00Z");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From seconds since the Unix epoch; `None` outside the years -9999 to 9999.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        jiff::Timestamp::from_second(seconds).ok().map(|_| Self(seconds))
    }

    /// From RFC 3339 text; fractions of a second are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|moment| Self(moment.as_second()))
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time of a check comes from. There is no default: the caller says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Clock {
    /// A fixed moment, to replay a verdict.
    At(Timestamp),
    /// The operating system's clock, read once per check.
    System,
}

impl Clock {
    /// Reads the clock. `None` if the system clock stands before 1970 or after 9999.
    pub(crate) fn read(self) -> Option<Timestamp> {
        match self {
            Self::At(moment) => Some(moment),
            Self::System => {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
                Timestamp::from_seconds(i64::try_from(elapsed.as_secs()).ok()?)
            }
        }
    }
}
