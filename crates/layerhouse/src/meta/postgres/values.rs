//! Parameters and columns as PostgreSQL has them. Its statements know the types of their parameters, where
//! SQLite takes what comes: a number is written as the type that is asked for, and read from any that counts.

use std::error::Error;
use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};

use crate::meta::transaction::Value;

type Failed = Box<dyn Error + Sync + Send>;

/// A whole number of any type; a truth is 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::meta) struct Whole(pub(in crate::meta) i64);

impl rusqlite::types::FromSql for Whole {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        <i64 as rusqlite::types::FromSql>::column_result(value).map(Self)
    }
}

impl<'a> FromSql<'a> for Whole {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let number = match *ty {
            Type::INT8 => i64::from_sql(ty, raw)?,
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            _ => numeric(raw).ok_or("a number that is not whole, or too large")?,
        };
        Ok(Self(number))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL | Type::NUMERIC
        )
    }
}

/// Digits of a NUMERIC count to so many.
const DIGIT: i64 = 10_000;

/// A whole NUMERIC, which sums of numbers are: how many digits, the weight of the first, the sign, the places
/// behind the point, then the digits, each of 16 bits.
fn numeric(raw: &[u8]) -> Option<i64> {
    let (words, []) = raw.as_chunks::<2>() else {
        return None;
    };
    let mut words = words.iter().map(|word| i16::from_be_bytes(*word));
    let (count, weight) = (words.next()?, words.next()?);
    let is_negative = match words.next()? {
        0 => false,
        0x4000 => true,
        _ => return None,
    };
    let _places = words.next()?;
    let mut number: i64 = 0;
    for at in 0..=weight {
        // Zeros at the end are not sent.
        let digit = if at < count { words.next()? } else { 0 };
        number = number.checked_mul(DIGIT)?.checked_sub(digit.into())?;
    }
    if words.any(|digit| digit != 0) {
        return None;
    }
    if is_negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

fn put_numeric(number: i64, out: &mut BytesMut) {
    let mut digits = Vec::new();
    let mut left = number.unsigned_abs();
    while left != 0 {
        digits.push(u16::try_from(left % DIGIT.unsigned_abs()).unwrap_or(0));
        left /= DIGIT.unsigned_abs();
    }
    let count = u16::try_from(digits.len()).unwrap_or(0);
    out.put_u16(count);
    out.put_u16(count.saturating_sub(1));
    out.put_u16(if number < 0 { 0x4000 } else { 0 });
    out.put_u16(0);
    for digit in digits.iter().rev() {
        out.put_u16(*digit);
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match (*self, ty) {
            (Self::Null, _) => return Ok(IsNull::Yes),
            (Self::Int(value), &Type::INT8) => out.put_i64(value),
            (Self::Int(value), &Type::INT4) => out.put_i32(value.try_into()?),
            (Self::Int(value), &Type::INT2) => out.put_i16(value.try_into()?),
            (Self::Int(value), &Type::BOOL) => out.put_u8(u8::from(value != 0)),
            (Self::Int(value), &Type::NUMERIC) => put_numeric(value, out),
            (Self::Int(value), &Type::UNKNOWN) => write!(out, "{value}")?,
            (Self::Text(value), &Type::TEXT | &Type::VARCHAR | &Type::UNKNOWN) => {
                // Text has no NUL there. No name has this one either, and it sorts where a NUL does.
                let bytes = value.bytes().map(|byte| byte.max(1));
                out.extend(bytes);
            }
            (Self::Bytes(value), &Type::BYTEA) => out.put_slice(value),
            (value, ty) => return Err(format!("{value:?} is no {ty}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    /// What the server is to find the type of, it is told as a literal would be.
    fn encode_format(&self, ty: &Type) -> Format {
        match *ty {
            Type::UNKNOWN => Format::Text,
            _ => Format::Binary,
        }
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_come_back_as_they_went() {
        let whole = [
            0,
            1,
            -1,
            9_999,
            10_000,
            -10_000,
            123_456_789_012,
            i64::MAX,
            i64::MIN,
        ];
        for number in whole {
            let mut out = BytesMut::new();
            put_numeric(number, &mut out);
            assert_eq!(numeric(&out), Some(number), "{number}");
        }
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        // 20000000000000000000, 0.5, NaN; cut off.
        let wrong: [&[u16]; 4] = [
            &[1, 4, 0, 0, 2_000],
            &[1, 0xffff, 0, 1, 5_000],
            &[0, 0, 0xc000, 0],
            &[2, 1, 0, 0, 1],
        ];
        for words in wrong {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(numeric(&raw), None, "{words:?}");
        }
        assert_eq!(numeric(&[0]), None);
    }
}
