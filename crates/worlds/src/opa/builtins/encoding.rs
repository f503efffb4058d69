//! Digests and encodings: `crypto`, `base64url`, `hex`, `urlquery`.

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};
use serde_json::{Map, Value};

use super::Builtin::{self, Pure};
use super::text;

pub const ALL: &[(&str, Builtin)] = &[
    ("base64url.encode_no_pad", Pure(|given| Ok(URL_SAFE_NO_PAD.encode(text(given, 0)?).into()))),
    ("crypto.hmac.equal", Pure(|given| Ok((text(given, 0)? == text(given, 1)?).into()))),
    ("crypto.hmac.md5", Pure(|given| Ok(hex(&hmac_md5(text(given, 1)?, text(given, 0)?)).into()))),
    ("crypto.hmac.sha1", Pure(|given| keyed(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, given))),
    ("crypto.hmac.sha256", Pure(|given| keyed(hmac::HMAC_SHA256, given))),
    ("crypto.hmac.sha512", Pure(|given| keyed(hmac::HMAC_SHA512, given))),
    ("crypto.md5", Pure(|given| Ok(hex(&Md5::digest(text(given, 0)?)).into()))),
    ("crypto.sha1", Pure(|given| digested(&digest::SHA1_FOR_LEGACY_USE_ONLY, given))),
    ("crypto.sha256", Pure(|given| digested(&digest::SHA256, given))),
    ("hex.decode", Pure(|given| Ok(text_of(&bytes_of_hex(text(given, 0)?)?).into()))),
    ("hex.encode", Pure(|given| Ok(hex(text(given, 0)?.as_bytes()).into()))),
    ("urlquery.decode", Pure(|given| Ok(decoded(text(given, 0)?)?.into()))),
    ("urlquery.decode_object", Pure(decode_object)),
    ("urlquery.encode", Pure(|given| Ok(encoded(text(given, 0)?).into()))),
    ("urlquery.encode_object", Pure(encode_object)),
];

fn digested(algorithm: &'static digest::Algorithm, given: &[Value]) -> anyhow::Result<Value> {
    Ok(hex(digest::digest(algorithm, text(given, 0)?.as_bytes()).as_ref()).into())
}

/// The arguments are the message, then the key.
fn keyed(algorithm: hmac::Algorithm, given: &[Value]) -> anyhow::Result<Value> {
    let key = hmac::Key::new(algorithm, text(given, 1)?.as_bytes());
    Ok(hex(hmac::sign(&key, text(given, 0)?.as_bytes()).as_ref()).into())
}

/// HMAC (RFC 2104) with MD5, which ring lacks.
fn hmac_md5(key: &str, message: &str) -> [u8; 16] {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    match key.as_bytes() {
        long if long.len() > BLOCK => block[..16].copy_from_slice(&Md5::digest(long)),
        key => block[..key.len()].copy_from_slice(key),
    }
    let with = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Md5::new().chain_update(with(0x36)).chain_update(message).finalize();
    Md5::new().chain_update(with(0x5c)).chain_update(inner).finalize().into()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Decodes hexadecimal digits of either case.
///
/// # Errors
/// For any other character, and for an odd number of digits.
pub fn bytes_of_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2), "an odd number of digits");
    let digit = |byte: u8| char::from(byte).to_digit(16).context("not a hexadecimal digit");
    text.as_bytes().chunks(2).map(|pair| Ok(u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?)?)).collect()
}

/// Bytes as a string. Invalid UTF-8 becomes U+FFFD, as in OPA.
pub fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decodes base64url, with or without padding.
///
/// # Errors
/// When it is not valid.
pub fn bytes_of_base64url(text: &str) -> anyhow::Result<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);
    ensure!(!text.ends_with('=') || text.len().is_multiple_of(4), "not base64 of URLs");
    Ok(ENGINE.decode(text)?)
}

/// As Go's `url.QueryEscape`.
fn encoded(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string().replace("%20", "+")
}

/// As Go's `url.QueryUnescape`: `&` and `=` are literals.
fn decoded(text: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).context("not a hexadecimal digit");
                bytes.push(u8::try_from(digit(high)? << 4 | digit(low)?)?);
                rest = after;
            }
            (b'%', _) => bail!("two digits belong to a %"),
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    Ok(text_of(&bytes))
}

/// Maps each name to all its values.
fn decode_object(given: &[Value]) -> anyhow::Result<Value> {
    let mut object = Map::new();
    for pair in text(given, 0)?.split('&').filter(|pair| !pair.is_empty()) {
        ensure!(!pair.contains(';'), "a semicolon separates nothing");
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let values = object.entry(decoded(name)?).or_insert_with(|| Value::Array(Vec::new()));
        values.as_array_mut().context("it is an array")?.push(decoded(value)?.into());
    }
    Ok(object.into())
}

/// Writes the names sorted, and the values of each in their order.
fn encode_object(given: &[Value]) -> anyhow::Result<Value> {
    let mut pairs = Vec::new();
    for (name, value) in given.first().and_then(Value::as_object).context("not an object")? {
        let values = match value {
            Value::String(_) => std::slice::from_ref(value),
            Value::Array(values) => values,
            _ => bail!("a value is neither a string nor several"),
        };
        for nth in 0..values.len() {
            pairs.push((name, text(values, nth)?));
        }
    }
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    Ok(pairs.collect::<Vec<_>>().join("&").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_are_encoded_as_in_go() {
        assert_eq!(encoded("a b&c=d/é?~*"), "a+b%26c%3Dd%2F%C3%A9%3F~%2A");
        assert_eq!(encoded("%20"), "%2520");
        assert_eq!(decoded("a+b%26c%3Dd%2F%C3%A9").unwrap(), "a b&c=d/é");
        assert!(decoded("%").is_err() && decoded("%a").is_err() && decoded("%zz").is_err());
        assert_eq!(
            decode_object(&[json!("b=2&b=1&a=x+y&c")]).unwrap(),
            json!({ "b": ["2", "1"], "a": ["x y"], "c": [""] })
        );
        assert!(decode_object(&[json!("a;b=1")]).is_err());
        assert_eq!(encode_object(&[json!({ "b": ["2", "1"], "a": "x y" })]).unwrap(), json!("a=x+y&b=2&b=1"));
    }

    #[test]
    fn base64url_is_decoded_with_or_without_padding() {
        for text in ["YQ", "YQ=="] {
            assert_eq!(bytes_of_base64url(text).unwrap(), b"a", "{text}");
        }
        assert!(bytes_of_base64url("YQ=").is_err() && bytes_of_base64url("Y").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(one: String, other in "([%+&=;a-z]|.)*", a in super::super::tests::any(), b in super::super::tests::any()) {
            for (name, builtin) in ALL {
                let Pure(call) = builtin else { panic!("{name}") };
                let _ = (call(&[json!(one), json!(other)]), call(&[json!(other)]), call(&[a.clone(), b.clone()]), call(&[]));
            }
            let _ = (encode_object(&[json!({ "a": a, "b": [one, b] })]), bytes_of_base64url(&other));
        }
    }
}
