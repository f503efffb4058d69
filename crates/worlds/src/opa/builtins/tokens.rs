//! JSON Web Tokens: decodes and verifies them, and signs them with shared keys.

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value, json};

use super::Builtin::{self, OfQuery, Pure};
use super::encoding::{bytes_of_base64url, hex, text_of};
use super::json::compact;
use super::keys::{self, Key};
use super::text;
use crate::opa::host::Query;

pub const ALL: &[(&str, Builtin)] = &[
    ("io.jwt.decode", Pure(decode)),
    ("io.jwt.decode_verify", OfQuery(decode_verify)),
    ("io.jwt.encode_sign", Pure(encode_sign)),
    (
        "io.jwt.encode_sign_raw",
        Pure(|given| Ok(signed(text(given, 0)?, text(given, 1)?, text(given, 2)?)?.into())),
    ),
    ("io.jwt.verify_es256", Pure(|given| verify("ES256", given))),
    ("io.jwt.verify_es384", Pure(|given| verify("ES384", given))),
    ("io.jwt.verify_hs256", Pure(|given| verify_shared("HS256", given))),
    ("io.jwt.verify_hs384", Pure(|given| verify_shared("HS384", given))),
    ("io.jwt.verify_hs512", Pure(|given| verify_shared("HS512", given))),
    ("io.jwt.verify_ps256", Pure(|given| verify("PS256", given))),
    ("io.jwt.verify_ps384", Pure(|given| verify("PS384", given))),
    ("io.jwt.verify_ps512", Pure(|given| verify("PS512", given))),
    ("io.jwt.verify_rs256", Pure(|given| verify("RS256", given))),
    ("io.jwt.verify_rs384", Pure(|given| verify("RS384", given))),
    ("io.jwt.verify_rs512", Pure(|given| verify("RS512", given))),
];

/// The three parts of a token, still encoded.
struct Token<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// The signed part: header and claims.
    signed: &'a str,
}

impl<'a> Token<'a> {
    fn parse(token: &'a str) -> anyhow::Result<Self> {
        let (signed, signature) = token.rsplit_once('.').context("a token has three parts")?;
        let (header, claims) = signed.split_once('.').context("a token has three parts")?;
        ensure!(!claims.contains('.'), "a token has three parts");
        Ok(Self { header, claims, signature, signed })
    }

    fn signature(&self) -> anyhow::Result<Vec<u8>> {
        bytes_of_base64url(self.signature)
    }

    fn claims(&self) -> anyhow::Result<String> {
        Ok(text_of(&bytes_of_base64url(self.claims)?))
    }

    fn header(&self) -> anyhow::Result<Map<String, Value>> {
        let header = object(&text_of(&bytes_of_base64url(self.header)?))?;
        ensure!(!header.contains_key("enc"), "an encrypted token");
        Ok(header)
    }
}

fn object(json: &str) -> anyhow::Result<Map<String, Value>> {
    Ok(serde_json::from_str(json)?)
}

/// Returns a token's header, its claims, and its signature in hexadecimal digits. Verifies nothing.
fn decode(given: &[Value]) -> anyhow::Result<Value> {
    let mut whole = text(given, 0)?.to_owned();
    loop {
        let token = Token::parse(&whole)?;
        let (header, claims) = (token.header()?, token.claims()?);
        match header.get("cty") {
            // A nested token: decodes the inner one.
            Some(Value::String(kind)) if kind == "JWT" => {
                whole = claims.trim_matches(['"', '\'']).to_owned();
            }
            None | Some(Value::String(_)) => {
                return Ok(json!([header, object(&claims)?, hex(&token.signature()?)]));
            }
            _ => bail!("cty is not a string"),
        }
    }
}

/// Verifies the signature with a shared key; the header is ignored.
fn verify_shared(algorithm: &str, given: &[Value]) -> anyhow::Result<Value> {
    let (token, secret) = (Token::parse(text(given, 0)?)?, text(given, 1)?);
    Ok(is_shared(algorithm, secret, &token)?.into())
}

fn is_shared(algorithm: &str, secret: &str, token: &Token<'_>) -> anyhow::Result<bool> {
    let key = hmac::Key::new(keys::keyed(algorithm).context("not for a shared key")?, secret.as_bytes());
    Ok(hmac::verify(&key, token.signed.as_bytes(), &token.signature()?).is_ok())
}

/// Verifies the signature with public keys.
fn verify(algorithm: &str, given: &[Value]) -> anyhow::Result<Value> {
    let (token, keys) = (Token::parse(text(given, 0)?)?, keys::parse(text(given, 1)?)?);
    let signature = token.signature()?;
    let header = Header::parse(&token.header()?)?;
    Ok(header.is_of(&keys, algorithm, token.signed, &signature).into())
}

/// The relevant fields of a header; empty if missing.
struct Header {
    algorithm: String,
    key: String,
    content: String,
    /// It has a critical field that is not supported.
    is_critical: bool,
}

impl Header {
    fn parse(header: &Map<String, Value>) -> anyhow::Result<Self> {
        const KNOWN: [&str; 5] = ["alg", "kid", "typ", "cty", "crit"];
        let field = |name: &str| match header.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(anyhow::anyhow!("{name} is not a string")),
        };
        field("typ")?;
        let critical: HashSet<_> = match header.get("crit") {
            None => HashSet::new(),
            Some(Value::Array(names)) => {
                ensure!(names.first().is_some_and(Value::is_string), "crit names nothing");
                names.iter().map_while(Value::as_str).collect()
            }
            Some(_) => bail!("crit is not an array"),
        };
        let mut others = header.keys().filter(|name| !KNOWN.contains(&name.as_str()));
        let is_critical = others.any(|name| critical.contains(name.as_str()));
        Ok(Self { algorithm: field("alg")?, key: field("kid")?, content: field("cty")?, is_critical })
    }

    /// Verifies with the key that it names, or else with any key for its algorithm.
    fn is_of(&self, keys: &[Key], algorithm: &str, signed: &str, signature: &[u8]) -> bool {
        let named = keys.iter().find(|key| !self.key.is_empty() && key.id == self.key);
        if let Some(key) = named {
            return key.verifies(algorithm, signed.as_bytes(), signature);
        }
        let mut keys = keys.iter().filter(|key| key.algorithm.is_empty() || key.algorithm == self.algorithm);
        keys.any(|key| key.verifies(algorithm, signed.as_bytes(), signature))
    }
}

/// The constraints on a token.
#[derive(Default)]
struct Constraints<'a> {
    keys: Option<Vec<Key>>,
    secret: &'a str,
    algorithm: &'a str,
    issuer: &'a str,
    audience: &'a str,
    /// In nanoseconds.
    time: f64,
}

impl<'a> Constraints<'a> {
    fn parse(given: &'a Map<String, Value>, query: &Query) -> anyhow::Result<Self> {
        let mut all =
            Self { time: query.began.duration_since(UNIX_EPOCH)?.as_nanos() as f64, ..Self::default() };
        for (name, value) in given {
            match (name.as_str(), value) {
                ("cert", Value::String(text)) => all.keys = Some(keys::parse(text)?),
                ("secret", Value::String(text)) => all.secret = text,
                ("alg", Value::String(text)) => all.algorithm = text,
                ("iss", Value::String(text)) => all.issuer = text,
                ("aud", Value::String(text)) => all.audience = text,
                ("time", Value::Number(time)) => {
                    all.time = time.as_f64().filter(|time| *time >= 0.0).context("not a time")?;
                }
                _ => bail!("no constraint {name}, or not with this value"),
            }
        }
        ensure!(all.keys.is_some() == all.secret.is_empty(), "there is to be one key");
        Ok(all)
    }

    fn are_met(&self, claims: &Map<String, Value>) -> anyhow::Result<bool> {
        match claims.get("iss") {
            _ if self.issuer.is_empty() => {}
            Some(Value::String(issuer)) if issuer == self.issuer => {}
            Some(Value::String(_)) | None => return Ok(false),
            Some(_) => bail!("iss is not a string"),
        }
        let is_audience = match claims.get("aud") {
            None => self.audience.is_empty(),
            Some(Value::Array(all)) => all.iter().any(|one| one == self.audience),
            Some(one) => one == self.audience,
        };
        let seconds = self.time / 1e9;
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(time) => time.as_f64().map(Some).with_context(|| format!("{name} is not a number")),
        };
        if !is_audience || time("exp")?.is_some_and(|end| seconds >= end) {
            return Ok(false);
        }
        Ok(time("nbf")?.is_none_or(|start| seconds >= start))
    }
}

/// Returns whether a token meets the constraints, its header and its claims; both are empty if it does not.
fn decode_verify(query: &mut Query, given: &[Value]) -> anyhow::Result<Value> {
    let constraints = given.get(1).and_then(Value::as_object).context("the constraints are not an object")?;
    let constraints = Constraints::parse(constraints, query)?;
    let refused = json!([false, {}, {}]);
    let mut whole = text(given, 0)?.to_owned();
    loop {
        let token = Token::parse(&whole)?;
        let fields = token.header()?;
        let header = Header::parse(&fields)?;
        if header.algorithm.is_empty() || header.is_critical {
            return Ok(refused);
        }
        let is_allowed = constraints.algorithm.is_empty() || constraints.algorithm == header.algorithm;
        if !is_allowed {
            return Ok(refused);
        }
        let signature = token.signature()?;
        ensure!(keys::is_known(&header.algorithm), "no algorithm {}", header.algorithm);
        let is_verified = match &constraints.keys {
            Some(keys) => header.is_of(keys, &header.algorithm, token.signed, &signature),
            None => is_shared(&header.algorithm, constraints.secret, &token)?,
        };
        if !is_verified {
            return Ok(refused);
        }
        let claims = token.claims()?;
        if header.content.eq_ignore_ascii_case("JWT") {
            whole = claims;
            continue;
        }
        let claims = object(&claims)?;
        return Ok(if constraints.are_met(&claims)? { json!([true, fields, claims]) } else { refused });
    }
}

fn encode_sign(given: &[Value]) -> anyhow::Result<Value> {
    let [header, claims, key] = given else { bail!("three arguments") };
    Ok(signed(&compact(header)?, &compact(claims)?, &compact(key)?)?.into())
}

/// Signs a header and claims with a shared key, a JWK; all three are JSON text.
fn signed(header: &str, claims: &str, key: &str) -> anyhow::Result<String> {
    let key: Value = serde_json::from_str(key)?;
    let key = key.get("keys").and_then(|keys| keys.get(0)).unwrap_or(&key);
    ensure!(key.get("kty").is_some_and(|kind| kind == "oct"), "only shared keys sign here");
    let secret = bytes_of_base64url(key.get("k").and_then(Value::as_str).context("no key")?)?;
    ensure!(!secret.is_empty(), "no key");
    let fields = Header::parse(&object(header)?)?;
    let algorithm = keys::keyed(&fields.algorithm).context("no such algorithm for a shared key")?;
    let kind = object(header)?.remove("typ");
    if kind.is_none_or(|kind| kind == "" || kind == "JWT") {
        serde_json::from_str::<serde::de::IgnoredAny>(claims).context("the claims are not JSON")?;
    }
    let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(algorithm, &secret), token.as_bytes());
    Ok(format!("{token}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: Value, claims: Value) -> Value {
        let (claims, key) = (
            claims.as_str().map_or_else(|| claims.to_string(), str::to_owned),
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
        );
        signed(&header.to_string(), &claims, &key.to_string()).unwrap().into()
    }

    #[test]
    fn tokens_are_verified_with_their_claims() {
        let header = json!({ "alg": "HS384" });
        let given = token(header.clone(), json!({ "iss": "i", "aud": ["a", "b"], "exp": 20, "nbf": 10 }));
        let check = |constraints: Value, expected: Option<bool>| {
            let result = decode_verify(&mut Query::default(), &[given.clone(), constraints.clone()]);
            assert_eq!(result.ok().map(|result| result[0] == true), expected, "{constraints}");
        };
        let time = 15_000_000_000_u64;
        check(
            json!({ "secret": "secret", "aud": "b", "iss": "i", "alg": "HS384", "time": time }),
            Some(true),
        );
        check(json!({ "secret": "secret", "aud": "c", "time": time }), Some(false));
        check(json!({ "secret": "secret", "time": time }), Some(false));
        check(json!({ "secret": "secret", "aud": "a", "iss": "j", "time": time }), Some(false));
        check(json!({ "secret": "secret", "aud": "a", "alg": "HS256", "time": time }), Some(false));
        check(json!({ "secret": "other", "aud": "a", "time": time }), Some(false));
        check(json!({ "secret": "secret", "aud": "a", "time": 20_000_000_000_u64 }), Some(false));
        check(json!({ "secret": "secret", "aud": "a", "time": 9_000_000_000_u64 }), Some(false));
        check(json!({ "secret": "secret", "what": 1 }), None);
        check(json!({ "aud": "a" }), None);
        let nested = token(json!({ "alg": "HS256", "typ": "x", "cty": "jwt" }), given.clone());
        let constraints = json!({ "secret": "secret", "aud": "a", "time": time });
        assert_eq!(decode_verify(&mut Query::default(), &[nested, constraints]).unwrap()[1], header);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(one: String, a in super::super::tests::any(), b in super::super::tests::any()) {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let token = json!(format!("{}.{}.{one}", part(&a), part(&b)));
            let key = json!({ "kty": "oct", "k": "c2VjcmV0" });
            for (_, builtin) in ALL {
                let call = |given: &[Value]| match builtin {
                    Pure(call) => call(given),
                    OfQuery(call) => call(&mut Query::default(), given),
                    _ => bail!("none"),
                };
                let _ = (call(&[token.clone(), json!(one)]), call(&[a.clone(), b.clone(), key.clone()]), call(&[]));
                let _ = call(&[token.clone(), json!({ "secret": "a", "time": a, "aud": b })]);
            }
        }
    }
}
