//! Addresses of cryptocurrency wallets: base58check, bech32 and bech32m, 0x with 40 hex digits.

use std::ops::Range;

use sha2::{Digest, Sha256};
use sha3::Keccak256;

use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::Wallet];
static BASE58: Rule =
    Rule::new("base58check", Entity::CryptoWallet, 100, 100).checked("double SHA-256").beside(CUES).unmoved();
static BECH32: Rule =
    Rule::new("bech32", Entity::CryptoWallet, 100, 100).checked("BCH code").beside(CUES).unmoved();
static ETHEREUM: Rule = Rule::new("ethereum", Entity::CryptoWallet, 80, 95).beside(CUES).unmoved();

const BASE58_LETTERS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32_LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Looks at a whole word.
pub(super) fn word(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = &out.text[word.clone()];
    if text.len() == 42 && text.starts_with(b"0x") && text[2..].iter().all(u8::is_ascii_hexdigit) {
        if !cased_as_checked(&text[2..]) {
            return out.reject(&ETHEREUM, word.clone(), "its case is no EIP-55 checksum");
        }
        return out.settle(&ETHEREUM, word.clone());
    }
    if (26..=35).contains(&text.len()) && matches!(text[0], b'1' | b'3' | b'L' | b'M' | b'D') {
        if base58check(text) {
            return out.settle(&BASE58, word.clone());
        }
        out.reject(&BASE58, word.clone(), "the checksum fails");
    }
    if !(14..=90).contains(&text.len()) {
        return;
    }
    let one_case = !text.iter().any(u8::is_ascii_uppercase) || !text.iter().any(u8::is_ascii_lowercase);
    let begins = |prefix: &&[u8]| text[..prefix.len()].eq_ignore_ascii_case(prefix);
    let prefix = [b"bc1".as_slice(), b"tb1", b"ltc1"].into_iter().find(begins);
    if let Some(prefix) = prefix.filter(|_| one_case) {
        let data = text[prefix.len()..].to_ascii_lowercase();
        if bech32(&prefix[..prefix.len() - 1], &data) {
            out.settle(&BECH32, word.clone());
        } else {
            out.reject(&BECH32, word.clone(), "the checksum fails");
        }
    }
}

/// EIP-55: a letter is upper case where the hash of the lower-case digits has an 8 or more. Digits
/// in one case carry no checksum.
fn cased_as_checked(digits: &[u8]) -> bool {
    let lower = digits.to_ascii_lowercase();
    if digits == lower || digits == digits.to_ascii_uppercase() {
        return true;
    }
    let hash = Keccak256::digest(&lower);
    digits.iter().enumerate().all(|(at, digit)| {
        let nibble = if at % 2 == 0 { hash[at / 2] >> 4 } else { hash[at / 2] & 15 };
        digit.is_ascii_digit() || digit.is_ascii_uppercase() == (nibble >= 8)
    })
}

fn base58check(text: &[u8]) -> bool {
    // 25 bytes: version, 20 of hash, 4 of checksum.
    let mut bytes = [0_u8; 25];
    for letter in text {
        let Some(value) = BASE58_LETTERS.iter().position(|known| known == letter) else { return false };
        let mut carry = value;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry != 0 {
            return false;
        }
    }
    let hash = Sha256::digest(Sha256::digest(&bytes[..21]));
    hash[..4] == bytes[21..]
}

/// BIP 173 and BIP 350: both final constants count.
fn bech32(human: &[u8], data: &[u8]) -> bool {
    let mut check = 1_u32;
    let mut add = |value: u8| {
        const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        let top = check >> 25;
        check = (check & 0x01ff_ffff) << 5 ^ u32::from(value);
        for (bit, generator) in GENERATOR.iter().enumerate() {
            check ^= if top >> bit & 1 == 1 { *generator } else { 0 };
        }
    };
    human.iter().for_each(|letter| add(letter >> 5));
    add(0);
    human.iter().for_each(|letter| add(letter & 31));
    for letter in data {
        let Some(value) = (0_u8..).zip(BECH32_LETTERS).find(|(_, known)| *known == letter) else {
            return false;
        };
        add(value.0);
    }
    check == 1 || check == 0x2bc8_30a3
}
