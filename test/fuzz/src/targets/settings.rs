//! Annotations and variables, a line each: `NAME=VALUE` is both the annotation `lighter.wasm/NAME` and the variable
//! `NAME`. The result is a guest, or an error with a message.

use serde_json::{Map, Value, json};
use workload::Guest;

use crate::Run;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    Ok(Box::new(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let annotations: Map<String, Value> =
            pairs.iter().map(|(name, value)| (format!("lighter.wasm/{name}"), json!(value))).collect();
        check(&json!({}), &text);
        check(&Value::Object(annotations), "");
    }))
}

fn check(annotations: &Value, env: &str) {
    let spec = json!({
        "ociVersion": "1.0.2", "root": { "path": "r" }, "annotations": annotations,
        "process": {
            "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["a.wasm"], "env": env.lines().collect::<Vec<_>>(),
        },
    });
    let Some(workload) = super::workload(spec.to_string().as_bytes()) else { return };
    let _ = (workload.engine(), workload.allows_native_exec());
    for world in super::worlds() {
        match Guest::of(&workload, world) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(guest) => judge(&guest),
        }
    }
}

/// Checks that the rules do not contradict each other for a few destinations.
fn judge(guest: &Guest) {
    let outbound = &guest.outbound;
    for host in ["example.com", "a.b.example.com", "localhost", "10.0.0.1", "::1"] {
        let ports = outbound.ports_for_host(host);
        let named = ports.iter().any(|ports| ports.contains(&80));
        assert!(!named || outbound.allows_host(host, 80), "{host}: {ports:?}");
        let _ = (outbound.allows_lookup(host), outbound.decides_lookup(host));
    }
    for address in ["10.0.0.1:80", "[fd00::1]:443", "[::ffff:10.0.0.1]:80", "0.0.0.0:0"] {
        let Ok(address) = address.parse() else { continue };
        assert!(!outbound.is_everything() || outbound.allows_address(address), "{address}");
    }
}
