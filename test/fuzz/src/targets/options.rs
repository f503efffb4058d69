//! The runtime's options, as containerd sends them: the first byte selects the message, the rest is its body.

use containerd_shim_protos::protobuf::well_known_types::any::Any;

use crate::Run;

/// The known messages and an unknown one; any other byte selects a TOML body.
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
