//! Values that must not be printed: keys, prompts, answers.

use std::fmt;

use zeroize::Zeroize;

/// Holds a secret. It cannot be displayed or serialised, `Debug` prints its length alone, and it is zeroed on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive<T: Zeroize + AsRef<[u8]>>(T);

impl<T: Zeroize + AsRef<[u8]>> Sensitive<T> {
    /// Takes the value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. The name makes every use easy to find.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> fmt::Debug for Sensitive<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sensitive({} bytes)", self.0.as_ref().len())
    }
}

impl<T: Zeroize + AsRef<[u8]>> Drop for Sensitive<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_alone() {
        assert_eq!(format!("{:?}", Sensitive::new(String::from("sk-secret"))), "Sensitive(9 bytes)");
    }
}
