//! Units as types. Money and tokens are integers without `+`: each sum says whether it saturates.

use serde::{Deserialize, Serialize};

/// A number of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl Tokens {
    /// The sum, or the largest number there is.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// The sum, or the largest number there is.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A price per million tokens. A price of zero is a price; a model without one has `None` instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerMillionTokens(pub MicroUsd);

impl PerMillionTokens {
    /// What `tokens` cost, in millionths of the unit of [`MicroUsd`], so that nothing is rounded yet.
    fn pico_usd(self, tokens: Tokens) -> u128 {
        u128::from(self.0.0) * u128::from(tokens.0)
    }
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Of the prompt.
    pub input: PerMillionTokens,
    /// Of the part of the prompt that the partner had cached.
    pub cached_input: PerMillionTokens,
    /// Of the answer, reasoning included.
    pub output: PerMillionTokens,
    /// Of every request, besides its tokens.
    pub per_request: MicroUsd,
}

impl Price {
    /// The cost of one answer: `prompt` tokens of which `cached` were cached, and `output` tokens.
    ///
    /// Rounded up once, at the end, so that a sum of costs is never below the truth.
    #[must_use]
    pub fn cost(&self, prompt: Tokens, cached: Tokens, output: Tokens) -> MicroUsd {
        let cached = cached.min(prompt);
        let pico = self.input.pico_usd(prompt.saturating_sub(cached))
            + self.cached_input.pico_usd(cached)
            + self.output.pico_usd(output);
        let micro = u64::try_from(pico.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        MicroUsd(micro).saturating_add(self.per_request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_rounded_up_once() {
        let price = Price {
            input: PerMillionTokens(MicroUsd(150_000)),
            cached_input: PerMillionTokens(MicroUsd(75_000)),
            output: PerMillionTokens(MicroUsd(600_000)),
            per_request: MicroUsd(7),
        };
        // 90 * 0.15 + 10 * 0.075 + 20 * 0.6 = 26.25 micro-USD, and 7 per request.
        assert_eq!(price.cost(Tokens(100), Tokens(10), Tokens(20)), MicroUsd(27 + 7));
        assert_eq!(price.cost(Tokens(0), Tokens(0), Tokens(0)), MicroUsd(7));
        // A partner that reports more cached tokens than prompt tokens is not believed.
        assert_eq!(price.cost(Tokens(10), Tokens(99), Tokens(0)), MicroUsd(1 + 7));
        let dear = Price { output: PerMillionTokens(MicroUsd(2_000_000)), ..price };
        assert_eq!(dear.cost(Tokens(0), Tokens(0), Tokens(u64::MAX)), MicroUsd(u64::MAX));
    }
}
