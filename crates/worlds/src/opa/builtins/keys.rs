//! Keys that verify signatures: from PEM (a public key or a certificate), and from JWK.

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

use super::encoding::bytes_of_base64url;

/// A key, with the `kid` and `alg` of its JWK; empty if missing.
#[derive(Debug)]
pub struct Key {
    pub id: String,
    pub algorithm: String,
    material: Material,
}

#[derive(Debug)]
enum Material {
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
    /// An uncompressed point of the curve.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Secret(Vec<u8>),
    /// A key that verifies nothing: a private key, or one of an unsupported curve.
    Other,
}

/// Whether the algorithm is supported.
pub fn is_known(algorithm: &str) -> bool {
    let known =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "HS256", "HS384", "HS512"];
    known.contains(&algorithm)
}

/// The HMAC algorithm of a shared key.
pub fn keyed(algorithm: &str) -> Option<hmac::Algorithm> {
    match algorithm {
        "HS256" => Some(hmac::HMAC_SHA256),
        "HS384" => Some(hmac::HMAC_SHA384),
        "HS512" => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

impl Key {
    /// Verifies a signature. False if the key is not of the algorithm's type.
    pub fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(modulus, exponent) => rsa(algorithm).is_some_and(|algorithm| {
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(algorithm, message, signature)
                    .is_ok()
            }),
            Material::P256(point) => {
                let algorithm: &dyn VerificationAlgorithm = match algorithm {
                    "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
                    "ES384" => {
                        return verifies_der(&signature::ECDSA_P256_SHA384_ASN1, point, message, signature);
                    }
                    _ => return false,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
            Material::P384(point) => {
                let algorithm: &dyn VerificationAlgorithm = match algorithm {
                    "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
                    "ES256" => {
                        return verifies_der(&signature::ECDSA_P384_SHA256_ASN1, point, message, signature);
                    }
                    _ => return false,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
            Material::Secret(secret) => keyed(algorithm).is_some_and(|algorithm| {
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signature).is_ok()
            }),
            Material::Other => false,
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    match algorithm {
        "RS256" => Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        "PS256" => Some(&signature::RSA_PSS_2048_8192_SHA256),
        "PS384" => Some(&signature::RSA_PSS_2048_8192_SHA384),
        "PS512" => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

/// For a digest of another size than the curve's: ring takes such signatures only as DER.
fn verifies_der(
    algorithm: &'static dyn VerificationAlgorithm,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let (r, s) = signature.split_at(signature.len() / 2);
    let number = |bytes: &[u8]| {
        let mut number = trimmed(bytes).to_vec();
        if number.first().is_none_or(|first| *first >= 0x80) {
            number.insert(0, 0);
        }
        [&[2, number.len() as u8], &*number].concat()
    };
    // Each length must fit one byte of DER: at most 127.
    if signature.len() > 96 {
        return false;
    }
    let numbers = [number(r), number(s)].concat();
    let der = [&[0x30, numbers.len() as u8], &*numbers].concat();
    UnparsedPublicKey::new(algorithm, point).verify(message, &der).is_ok()
}

/// Removes leading zeros.
fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Parses one block of PEM, a JWK, or a JWK set.
///
/// # Errors
/// Why it is not a valid key.
pub fn parse(text: &str) -> anyhow::Result<Vec<Key>> {
    if let Some((kind, der)) = pem(text)? {
        let material = match kind {
            "PUBLIC KEY" => public_key(element(&mut &*der, SEQUENCE)?)?,
            "CERTIFICATE" => certificate(&der)?,
            _ => bail!("neither a public key nor a certificate"),
        };
        return Ok(vec![Key { id: String::new(), algorithm: String::new(), material }]);
    }
    let json: Value = serde_json::from_str(text)?;
    match json.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty()) {
        Some(keys) => keys.iter().filter(|key| !is_of_other_algorithm(key)).map(jwk).collect(),
        None => Ok(vec![jwk(&json)?]),
    }
}

/// OPA skips keys for unknown algorithms.
fn is_of_other_algorithm(key: &Value) -> bool {
    let algorithm = key.get("alg").and_then(Value::as_str);
    algorithm.is_some_and(|algorithm| !is_known(algorithm) && !matches!(algorithm, "ES512" | "none"))
}

/// The label and contents of a PEM block; `None` if there is none. Nothing may follow it.
fn pem(text: &str) -> anyhow::Result<Option<(&str, Vec<u8>)>> {
    let Some((before, block)) = text.split_once("-----BEGIN ") else { return Ok(None) };
    if !(before.is_empty() || before.ends_with('\n')) {
        return Ok(None);
    }
    let (kind, rest) = block.split_once("-----").context("PEM without an end")?;
    let (body, after) = rest.split_once(&format!("-----END {kind}-----")).context("PEM without an end")?;
    ensure!(matches!(after, "" | "\n" | "\r\n"), "more than a block of PEM");
    let body: String = body.split_ascii_whitespace().collect();
    Ok(Some((kind, STANDARD.decode(body)?)))
}

const INTEGER: u8 = 2;
const BITS: u8 = 3;
const NAME: u8 = 6;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The content of the next DER element, which has this tag.
fn element<'a>(der: &mut &'a [u8], tag: u8) -> anyhow::Result<&'a [u8]> {
    let &[found, length, ref rest @ ..] = *der else { bail!("an element is missing") };
    ensure!(found == tag, "not the element that it should be");
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80)).context("cut off")?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => bail!("a length that DER does not have"),
    };
    let (content, rest) = rest.split_at_checked(length).context("cut off")?;
    *der = rest;
    Ok(content)
}

/// The key in a certificate. The certificate is not verified: it is the policy's own.
fn certificate(der: &[u8]) -> anyhow::Result<Material> {
    let mut certificate = element(&mut &*der, SEQUENCE)?;
    let mut fields = element(&mut certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        element(&mut fields, VERSION)?;
    }
    element(&mut fields, INTEGER)?;
    // The algorithm, the issuer, the validity and the subject.
    for _ in 0..4 {
        element(&mut fields, SEQUENCE)?;
    }
    public_key(element(&mut fields, SEQUENCE)?)
}

/// A `SubjectPublicKeyInfo`.
fn public_key(mut der: &[u8]) -> anyhow::Result<Material> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const CURVES: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
    let mut algorithm = element(&mut der, SEQUENCE)?;
    let name = element(&mut algorithm, NAME)?;
    let key = element(&mut der, BITS)?.strip_prefix(&[0]).context("not a key")?;
    Ok(match name {
        RSA => {
            let mut numbers = element(&mut &*key, SEQUENCE)?;
            let modulus = trimmed(element(&mut numbers, INTEGER)?).to_vec();
            Material::Rsa(modulus, trimmed(element(&mut numbers, INTEGER)?).to_vec())
        }
        CURVES => match element(&mut algorithm, NAME)? {
            P256 => Material::P256(key.to_vec()),
            P384 => Material::P384(key.to_vec()),
            _ => Material::Other,
        },
        _ => Material::Other,
    })
}

fn jwk(key: &Value) -> anyhow::Result<Key> {
    let field = |name: &str| key.get(name).and_then(Value::as_str);
    let number = |name: &str| bytes_of_base64url(field(name).with_context(|| format!("{name} is missing"))?);
    let point = |size: usize| {
        let padded = |number: Vec<u8>| {
            let number = trimmed(&number);
            let zeros = size.checked_sub(number.len()).context("not a point of the curve")?;
            anyhow::Ok([&vec![0; zeros], number].concat())
        };
        anyhow::Ok([vec![4], padded(number("x")?)?, padded(number("y")?)?].concat())
    };
    let material = match field("kty") {
        Some("oct") => Material::Secret(number("k")?),
        Some("EC") if field("d").is_some() => {
            let size = [("P-256", 32), ("P-384", 48), ("P-521", 66)];
            let size = size.iter().find(|(curve, _)| field("crv") == Some(curve));
            ensure!(
                size.is_some_and(|(_, size)| number("d").is_ok_and(|d| d.len() == *size)),
                "not a private key"
            );
            Material::Other
        }
        Some("RSA") if field("d").is_some() => Material::Other,
        Some("RSA") => Material::Rsa(trimmed(&number("n")?).to_vec(), trimmed(&number("e")?).to_vec()),
        Some("EC") => match field("crv") {
            Some("P-256") => Material::P256(point(32)?),
            Some("P-384") => Material::P384(point(48)?),
            Some("P-521") => Material::Other,
            _ => bail!("no such curve"),
        },
        _ => bail!("no such kind of key"),
    };
    let owned = |name: &str| field(name).unwrap_or_default().to_owned();
    Ok(Key { id: owned("kid"), algorithm: owned("alg"), material })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    proptest::proptest! {
        #[test]
        fn never_panics(der: Vec<u8>, text: String, any in super::super::tests::any()) {
            let _ = (certificate(&der), public_key(&der), parse(&text), jwk(&any), parse(&any.to_string()));
            let _ = parse(&format!("-----BEGIN {text}-----END {text}-----"));
            for (kty, crv) in [("RSA", ""), ("EC", "P-256"), ("EC", "P-384"), ("oct", "")] {
                let key = jwk(&json!({ "kty": kty, "crv": crv, "x": text, "y": "AQ", "n": "AQ", "e": text, "k": text }));
                let Ok(key) = key else { continue };
                for algorithm in ["RS256", "RS384", "PS256", "ES256", "ES384", "HS256", "?"] {
                    let _ = key.verifies(algorithm, &der, &der);
                }
            }
        }
    }
}
