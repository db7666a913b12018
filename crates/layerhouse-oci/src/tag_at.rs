//! A tag as it was: `v1.at-20270115T080000Z` is what `v1` pointed at then. A name that every client can pull, for
//! it is in the grammar of tags; it is read as this only where no tag of that name is there.

use std::fmt;

use crate::tag::Tag;

/// Parts the tag from the moment.
const MARK: &str = ".at-";
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A tag at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagAt {
    /// Which.
    pub tag: Tag,
    /// When, in whole seconds since 1970-01-01T00:00:00Z; never below 0, and before the year 10000.
    pub at_seconds: i64,
}

impl TagAt {
    /// Reads `<tag>.at-YYYYMMDDThhmmssZ`, or `<tag>.at-YYYYMMDD` for the midnight that the day begins with; UTC,
    /// from 1970 to 9999. `None` for every other tag. Where the mark stands more than once, the last one counts.
    #[must_use]
    pub fn parse(tag: &Tag) -> Option<Self> {
        let (name, moment) = tag.as_str().rsplit_once(MARK)?;
        let (day, second) = match moment.split_once('T') {
            None => (moment, 0),
            Some((day, time)) => (day, second_of_day(time.strip_suffix('Z')?)?),
        };
        Some(Self {
            tag: name.parse().ok()?,
            at_seconds: day_number(day)? * DAY_SECONDS + second,
        })
    }
}

impl fmt::Display for TagAt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.at_seconds.rem_euclid(DAY_SECONDS);
        let (year, month, day) = date(self.at_seconds.div_euclid(DAY_SECONDS));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let tag = self.tag.as_str();
        write!(
            out,
            "{tag}{MARK}{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
        )
    }
}

/// `N` numbers of so many digits each, and nothing else.
fn numbers<const N: usize>(text: &str, digits: [usize; N]) -> Option<[i64; N]> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || text.len() != digits.iter().sum::<usize>() {
        return None;
    }
    let mut rest = text;
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let (own, behind) = rest.split_at(digits);
        *number = own.parse().ok()?;
        rest = behind;
    }
    Some(found)
}

/// `hhmmss`, without leap seconds: our clock has none.
fn second_of_day(text: &str) -> Option<i64> {
    let [hour, minute, second] = numbers(text, [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

/// `YYYYMMDD` as days since 1970-01-01.
fn day_number(text: &str) -> Option<i64> {
    let [year, month, day] = numbers(text, [4, 2, 2])?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Years begin in March here, so that the odd day is their last.
    let (shifted_year, shifted_month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let before = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    // From March on, months have 31, 30, 31, 30, 31 days, again and again.
    let number = before + (153 * shifted_month + 2) / 5 + day - 1 - DAYS_BEFORE_1970;
    // A day that the month does not have is the next month's.
    (date(number) == (year, month, day)).then_some(number)
}

/// From 0000-03-01.
const DAYS_BEFORE_1970: i64 = 719_468;

/// Year, month and day of a day since 1970-01-01.
fn date(day_number: i64) -> (i64, i64, i64) {
    let days = day_number + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month < 3);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<(String, i64)> {
        let read = TagAt::parse(&text.parse().expect("a tag"))?;
        Some((read.tag.as_str().to_owned(), read.at_seconds))
    }

    #[test]
    fn moments_follow_a_mark() {
        let check = |text: &str, tag: &str, seconds: i64| {
            assert_eq!(read(text), Some((tag.to_owned(), seconds)), "{text}");
        };
        check("v1.at-19700101", "v1", 0);
        check("v1.at-19700101T000001Z", "v1", 1);
        check("latest.at-20270115T080000Z", "latest", 1_800_000_000);
        check("latest.at-20270115", "latest", 1_799_971_200);
        check("1.2.at-20240229T235959Z", "1.2", 1_709_251_199);
        check("_.at-20000229", "_", 951_782_400);
        check("v1.at-99991231T235959Z", "v1", 253_402_300_799);
        check(
            "v1.at-20270101.at-20270115",
            "v1.at-20270101",
            1_799_971_200,
        );
    }

    #[test]
    fn all_else_is_a_tag_like_others() {
        for text in [
            "v1",
            "v1.at-",
            "v1.at-2027",
            "v1.at-20271",
            "v1.at-202701150",
            "v1.at-19691231",
            "v1.at-20270001",
            "v1.at-20271301",
            "v1.at-20270100",
            "v1.at-20270132",
            "v1.at-20270229",
            "v1.at-21000229",
            "v1.at-20270431",
            "v1.at-20270115T",
            "v1.at-20270115T0800Z",
            "v1.at-20270115T080000",
            "v1.at-20270115T080000z",
            "v1.at-20270115T240000Z",
            "v1.at-20270115T086000Z",
            "v1.at-20270115T080060Z",
            "v1.at-20270115T080000ZZ",
            "v1.at-2027-115",
            "v1.at-_0270115",
            "v1-at-20270115",
            "v1.At-20270115",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,100}",
            at_seconds in 0_i64..253_402_300_800,
        ) {
            let written = TagAt { tag: name.parse().expect("a tag"), at_seconds };
            let text: Tag = written.to_string().parse().expect("a tag");
            prop_assert_eq!(TagAt::parse(&text), Some(written));
        }

        #[test]
        fn days_follow_one_another(day in 0_i64..2_932_896) {
            let ((year, month, of_month), next) = (date(day), date(day + 1));
            let follows = next == (year, month, of_month + 1)
                || (next == (year, month + 1, 1) && 28 <= of_month)
                || (next == (year + 1, 1, 1) && (month, of_month) == (12, 31));
            prop_assert!(follows, "{:?} {:?}", date(day), next);
        }

        #[test]
        fn no_tag_panics(text in "[a-z0-9_][0-9.atTZ-]{0,40}") {
            let _ = TagAt::parse(&text.parse().expect("a tag"));
        }
    }
}
