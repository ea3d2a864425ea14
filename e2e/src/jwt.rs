//! ServiceAccount tokens that only the holder of the API server's key can make: valid in all but what a test changed.
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

/// `token` with its claims changed, signed again by the key in the file.
///
/// # Errors
/// If `token` is none, or the file holds no key of P-256.
pub fn signed_again(token: &str, key: &Path, change: impl FnOnce(&mut Value)) -> Result<String> {
    let [header, claims, _] = token.split('.').collect::<Vec<_>>().try_into().ok().context("three parts")?;
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    change(&mut claims);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = any_ecdsa_type(&PrivateKeyDer::from_pem_file(key)?)?;
    let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).context("a key of P-256")?;
    let signature = raw(&signer.sign(message.as_bytes())?)?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Two numbers in DER as two of 32 bytes, which a JSON Web Token has: RFC 7518 §3.4.
fn raw(der: &[u8]) -> Result<Vec<u8>> {
    let mut rest = der.get(2..).context("a sequence")?;
    let mut raw = Vec::with_capacity(64);
    for _ in 0..2 {
        let (&[2, length], after) = rest.split_first_chunk().context("an integer")? else {
            anyhow::bail!("not an integer");
        };
        let (number, after) = after.split_at_checked(usize::from(length)).context("its bytes")?;
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        ensure!(digits.len() <= 32, "a number of P-256");
        raw.resize(raw.len() + 32 - digits.len(), 0);
        raw.extend_from_slice(digits);
        rest = after;
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_become_two_of_32_bytes() {
        let der = |numbers: [&[u8]; 2]| {
            let parts: Vec<u8> =
                numbers.iter().flat_map(|it| [&[2, u8::try_from(it.len()).unwrap()], *it].concat()).collect();
            [&[0x30, u8::try_from(parts.len()).unwrap()], parts.as_slice()].concat()
        };
        let long = [&[0], [0x80; 32].as_slice()].concat();
        let short = [7; 3];
        let wanted = [[0x80; 32].as_slice(), &[0; 29], &[7; 3]].concat();
        assert_eq!(raw(&der([&long, &short])).unwrap(), wanted);
        assert!(raw(&der([&[1; 33], &short])).is_err());
    }
}
