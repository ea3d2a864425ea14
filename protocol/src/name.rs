//! Names, parsed once at the border: inside, a name is known to be well formed.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;

/// Why a string is not a name of the wanted kind.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidName {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It is longer than its kind allows.
    #[error("has {length} characters; at most {limit} are allowed")]
    TooLong {
        /// Characters found.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// It has a character that its kind does not allow.
    #[error("has a character that is not allowed: use {allowed}")]
    Character {
        /// The characters that are allowed, in words.
        allowed: &'static str,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $limit:expr, $allowed:literal, $is_allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check(text, $limit, $allowed, $is_allowed).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                check(&text, $limit, $allowed, $is_allowed).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

fn check(
    text: &str,
    limit: usize,
    allowed: &'static str,
    is_allowed: fn(char) -> bool,
) -> Result<(), InvalidName> {
    let length = text.chars().count();
    if length == 0 {
        return Err(InvalidName::Empty);
    }
    if length > limit {
        return Err(InvalidName::TooLong { length, limit });
    }
    if !text.chars().all(is_allowed) {
        return Err(InvalidName::Character { allowed });
    }
    Ok(())
}

fn is_object_name(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '-' | '.')
}

name! {
    /// A namespace or a ServiceAccount, as RFC 1123 has it.
    ObjectName, limits::NAME_CHARS, "a-z, 0-9, '-' and '.'", is_object_name
}
name! {
    /// A partner as one scope sees it: `name`, or `namespace/name` where it stands in another namespace.
    PartnerName, 2 * limits::NAME_CHARS + 1, "a-z, 0-9, '-', '.' and one '/'",
    |character| is_object_name(character) || character == '/'
}
name! {
    /// What an app sends as `model`.
    Alias, limits::MODEL_NAME_CHARS, "visible ASCII", |character| character.is_ascii_graphic()
}
name! {
    /// A model as its partner calls it.
    ModelName, limits::MODEL_NAME_CHARS, "visible ASCII", |character| character.is_ascii_graphic()
}
name! {
    /// On whose budget a request runs.
    TenantId, limits::TENANT_CHARS, "letters, digits, '-', '_', '.', ':' and '@'",
    |character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | ':' | '@')
}
name! {
    /// Where a credential comes from, as `namespace/secret/key`.
    CredentialName, 3 * limits::NAME_CHARS + 2, "letters, digits, '-', '_', '.' and '/'",
    |character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/')
}
name! {
    /// A TenantQuota, as `namespace/name`.
    QuotaName, 2 * limits::NAME_CHARS + 1, "a-z, 0-9, '-', '.' and one '/'",
    |character| is_object_name(character) || character == '/'
}

/// Whether somebody else's id or name may be echoed and recorded: 1 to [`limits::ID_CHARS`] visible ASCII characters.
pub fn is_sane_id(text: &str) -> bool {
    (1..=limits::ID_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_what_is_wrong() {
        assert_eq!("".parse::<Alias>(), Err(InvalidName::Empty));
        assert_eq!(
            "a b".parse::<Alias>().unwrap_err().to_string(),
            "has a character that is not allowed: use visible ASCII"
        );
        assert_eq!(
            "x".repeat(129).parse::<TenantId>(),
            Err(InvalidName::TooLong { length: 129, limit: 128 })
        );
        assert!("team-a/partner-alpha".parse::<PartnerName>().is_ok());
        assert!("Partner".parse::<PartnerName>().is_err());
    }
}
