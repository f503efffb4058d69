//! Scenarios that an engine cannot pass by design: each with its reason, and counted as skipped.

/// The engine, a part of the scenarios' names, and the reason.
const UNFIT: [(&str, &str, &str); 23] = [
    ("wasmedge", "-p2", COMPONENTS),
    ("wasmedge", "wasm-p3-", COMPONENTS),
    ("wasmedge", "http-", COMPONENTS),
    ("wasmedge", "sockets-names-", COMPONENTS),
    ("wasmedge", "sockets-egress-env", COMPONENTS),
    ("wasmedge", "wasm-pod-localhost", COMPONENTS),
    ("wasmedge", "jail-descriptors-component", COMPONENTS),
    ("wasmedge", "cri-wasm-port-forward", COMPONENTS),
    ("wasmedge", "cri-wasm-localhost", COMPONENTS),
    ("wasmedge", "cri-docs-server", COMPONENTS),
    ("wasmedge", "cri-wasm-sidecar", COMPONENTS),
    ("wasmedge", "cri-proxy-sidecar", COMPONENTS),
    ("wasmedge", "shim-killed-in-create", COMPONENTS),
    ("wasmedge", "tcp-listen", LISTENERS),
    ("wasmedge", "sockets-poll-stdin", LISTENERS),
    ("wasmedge", "sockets-stop-accept", LISTENERS),
    ("wasmedge", "sockets-owner", LISTENERS),
    ("wasmedge", "wasm-small-address-space", "it takes 12 GiB of addresses for each memory"),
    ("wasmedge", "wasm-stack-limit", "it does not limit the depth of calls: the kernel ends the guest"),
    ("wasmedge", "example-", "its command names the default runtime"),
    (
        "wasmedge",
        "docker-",
        "it makes the same requests as containerd, and is tested with the default runtime",
    ),
    ("wasmedge", "faults-", "its bounds are those of the default daemon"),
    ("wasmedge", "soak-", "its bounds are those of the default daemon"),
];
const COMPONENTS: &str = "its guest is a component";
const LISTENERS: &str = "its guest is handed sockets that listen already";

/// Why `engine` cannot pass the scenario `name`, if it cannot.
pub fn why(engine: &str, name: &str) -> Option<&'static str> {
    let fits = |(of, part, _): &&(&str, &str, &str)| *of == engine && name.contains(*part);
    UNFIT.iter().find(fits).map(|(_, _, why)| *why)
}

/// A row's part of a name that none of `names` has: the row excuses nothing any more.
pub fn stale<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let has = |part: &str| names.clone().any(|name| name.contains(part));
    UNFIT.iter().map(|(_, part, _)| *part).find(|part| !has(part))
}
