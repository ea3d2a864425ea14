//! The kinds of personal data, their names in manifests and their labels in text.
//!
//! One closed list: the names are what users write in `entities`, the labels are what they see in
//! `[LABEL]`, in pseudonyms and in metrics. What each kind looks like is the recognizers' business.

use std::fmt;
use std::str::FromStr;

/// A kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Payment card number.
    CreditCard,
    /// International bank account number.
    Iban,
    /// United States social security number.
    Ssn,
    /// Telephone number.
    Phone,
    /// E-mail address.
    Email,
    /// IPv4 or IPv6 address.
    Ip,
    /// Hardware address of a network interface.
    MacAddress,
    /// A date that is said to be somebody's birthday.
    DateOfBirth,
    /// Passport number.
    Passport,
    /// Driving licence number.
    DriverLicense,
    /// Bank account or routing number.
    BankAccount,
    /// National identity or tax number.
    NationalId,
    /// Credential: API key, token, password, private key.
    Secret,
    /// Address of a cryptocurrency wallet.
    CryptoWallet,
    /// Name of a person.
    Person,
    /// Name of a place.
    Location,
    /// Name of an organization.
    Organization,
    /// Postal address.
    Address,
    /// A pattern of the user's own: its place in the policy's list.
    Custom(u8),
}

/// Most custom patterns that one policy may have.
pub const MAX_CUSTOM: u8 = 32;

impl Entity {
    /// Every built-in kind, in the order of the table in the documentation.
    pub const BUILT_IN: [Self; 18] = [
        Self::CreditCard,
        Self::Iban,
        Self::Ssn,
        Self::Phone,
        Self::Email,
        Self::Ip,
        Self::MacAddress,
        Self::DateOfBirth,
        Self::Passport,
        Self::DriverLicense,
        Self::BankAccount,
        Self::NationalId,
        Self::Secret,
        Self::CryptoWallet,
        Self::Person,
        Self::Location,
        Self::Organization,
        Self::Address,
    ];

    /// The name that manifests use, such as `CreditCard`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.names().0
    }

    /// The label that text and metrics use, such as `CREDIT_CARD`. Custom patterns have their own
    /// labels, which [`crate::Policy::label`] knows.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.names().1
    }

    /// Whether the tagger finds it, so that a recall bias decides and no threshold.
    #[must_use]
    pub const fn is_name(self) -> bool {
        matches!(self, Self::Person | Self::Location | Self::Organization)
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::CreditCard => ("CreditCard", "CREDIT_CARD"),
            Self::Iban => ("Iban", "IBAN"),
            Self::Ssn => ("Ssn", "SSN"),
            Self::Phone => ("Phone", "PHONE"),
            Self::Email => ("Email", "EMAIL"),
            Self::Ip => ("Ip", "IP"),
            Self::MacAddress => ("MacAddress", "MAC_ADDRESS"),
            Self::DateOfBirth => ("DateOfBirth", "DATE_OF_BIRTH"),
            Self::Passport => ("Passport", "PASSPORT"),
            Self::DriverLicense => ("DriverLicense", "DRIVER_LICENSE"),
            Self::BankAccount => ("BankAccount", "BANK_ACCOUNT"),
            Self::NationalId => ("NationalId", "NATIONAL_ID"),
            Self::Secret => ("Secret", "SECRET"),
            Self::CryptoWallet => ("CryptoWallet", "CRYPTO_WALLET"),
            Self::Person => ("Person", "PERSON"),
            Self::Location => ("Location", "LOCATION"),
            Self::Organization => ("Organization", "ORGANIZATION"),
            Self::Address => ("Address", "ADDRESS"),
            Self::Custom(_) => ("Custom", "CUSTOM"),
        }
    }

    /// Position in tables and bit sets: the table's order, custom patterns last.
    pub(crate) const fn index(self) -> u8 {
        match self {
            Self::CreditCard => 0,
            Self::Iban => 1,
            Self::Ssn => 2,
            Self::Phone => 3,
            Self::Email => 4,
            Self::Ip => 5,
            Self::MacAddress => 6,
            Self::DateOfBirth => 7,
            Self::Passport => 8,
            Self::DriverLicense => 9,
            Self::BankAccount => 10,
            Self::NationalId => 11,
            Self::Secret => 12,
            Self::CryptoWallet => 13,
            Self::Person => 14,
            Self::Location => 15,
            Self::Organization => 16,
            Self::Address => 17,
            Self::Custom(at) => 18 + at % MAX_CUSTOM,
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A name that is neither an entity's name nor its label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown entity {0:?}; write one of the names in the documentation, such as Email or CREDIT_CARD")]
pub struct InvalidEntity(String);

impl FromStr for Entity {
    type Err = InvalidEntity;

    /// Accepts the name or the label, in any case.
    fn from_str(text: &str) -> Result<Self, InvalidEntity> {
        let wanted = text.trim();
        Self::BUILT_IN
            .into_iter()
            .find(|entity| {
                entity.name().eq_ignore_ascii_case(wanted) || entity.label().eq_ignore_ascii_case(wanted)
            })
            .ok_or_else(|| InvalidEntity(wanted.chars().take(40).collect()))
    }
}

/// A set of entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntitySet(u64);

impl EntitySet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Every built-in entity: what `All` means.
    #[must_use]
    pub fn all() -> Self {
        Self::BUILT_IN_SLICE.iter().copied().collect()
    }

    const BUILT_IN_SLICE: &'static [Entity] = &Entity::BUILT_IN;

    /// The set with `entity` in it.
    #[must_use]
    pub const fn with(self, entity: Entity) -> Self {
        Self(self.0 | 1 << entity.index())
    }

    /// Whether `entity` is in the set.
    #[must_use]
    pub const fn contains(self, entity: Entity) -> bool {
        self.0 & (1 << entity.index()) != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the tagger is needed: a name is wanted, or an address, which is joined with places.
    #[must_use]
    pub const fn wants_names(self) -> bool {
        self.contains(Entity::Person)
            || self.contains(Entity::Location)
            || self.contains(Entity::Organization)
            || self.contains(Entity::Address)
    }
}

impl FromIterator<Entity> for EntitySet {
    fn from_iter<I: IntoIterator<Item = Entity>>(entities: I) -> Self {
        entities.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_parse_in_any_case() {
        for entity in Entity::BUILT_IN {
            assert_eq!(entity.name().parse(), Ok(entity));
            assert_eq!(entity.label().to_lowercase().parse(), Ok(entity));
        }
        assert!("Shoe".parse::<Entity>().is_err());
    }

    #[test]
    fn no_two_entities_share_a_bit() {
        let custom = (0..MAX_CUSTOM).map(Entity::Custom);
        let indices: Vec<u8> = Entity::BUILT_IN.into_iter().chain(custom).map(Entity::index).collect();
        assert!(indices.iter().enumerate().all(|(at, index)| usize::from(*index) == at));
    }
}
