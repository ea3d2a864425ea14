//! Values that must not be printed: keys, prompts, answers.

use std::any::Any;
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

/// What may be told of a panic's payload: a message that was written by us, as it stands in the source. What is made up
/// at run time may quote content, as that of a string cut inside a character does.
#[must_use]
pub fn tellable(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(a message that may quote content)")
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_message_of_run_time_is_withheld() {
        let secret = String::from("sk-canary");
        let payload = catch_unwind(|| assert!(secret.is_empty(), "{secret}")).unwrap_err();
        assert!(!tellable(payload.as_ref()).contains("canary"));
        let payload = catch_unwind(|| panic!("the list is empty")).unwrap_err();
        assert_eq!(tellable(payload.as_ref()), "the list is empty");
    }

    #[test]
    fn debug_shows_the_length_alone() {
        assert_eq!(format!("{:?}", Sensitive::new(String::from("sk-secret"))), "Sensitive(9 bytes)");
    }
}
