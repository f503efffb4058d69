//! The runtime's options, as containerd sends them: the first byte says which message, the rest is it.

use containerd_shim_protos::protobuf::well_known_types::any::Any;

use crate::Run;

/// The messages that are known, one that is not, and a TOML body alone.
const KINDS: [&str; 4] = [
    "runtimeoptions.v1.Options",
    "containerd.runc.v1.Options",
    "containerd.linux.runc.CreateOptions",
    "some.other.Options",
];

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    Ok(Box::new(|bytes| {
        let Some((kind, body)) = bytes.split_first() else { return };
        match KINDS.get(usize::from(*kind)) {
            Some(kind) => {
                let any = Any { type_url: (*kind).into(), value: body.into(), ..Any::default() };
                let _ = shim::options::read(Some(&any), "ns");
            }
            None => drop(workload::Options::from_toml(&String::from_utf8_lossy(body))),
        }
    }))
}
