//! What every type that is a checked text has in common: `Display` gives the text back, and serde
//! writes it and reads it through `FromStr`, so that no door leads around the parser.

/// Implements `Display`, `Serialize` and `Deserialize` for types with `as_str` and `FromStr`.
macro_rules! through_text {
    ($($name:ident),+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use through_text;

/// What a table of a parser says of `text`: what it prints as once it is read, or why it is not.
#[cfg(test)]
pub(crate) fn told<T>(text: &str) -> String
where
    T: std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display,
{
    match text.parse::<T>() {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Asserts that every door tells the same: `FromStr` of what is printed, and serde both ways.
#[cfg(test)]
pub(crate) fn assert_one_door<T>(text: &str)
where
    T: std::str::FromStr + std::fmt::Display + PartialEq + std::fmt::Debug,
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let quoted = serde_json::to_string(text).expect("a text has a JSON form");
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value));
            let json = serde_json::to_string(&value).expect("a checked text has a JSON form");
            assert_eq!(json, format!("\"{printed}\""));
            assert_eq!(serde_json::from_str::<T>(&json).ok().as_ref(), Some(&value));
            assert_eq!(serde_json::from_str::<T>(&quoted).ok(), Some(value));
        }
        Err(_) => assert!(serde_json::from_str::<T>(&quoted).is_err()),
    }
}
