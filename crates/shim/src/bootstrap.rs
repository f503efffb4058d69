//! What containerd writes to the standard input of `start`: up to 2.2 the runtime's options, since 2.3 a
//! `containerd.runtime.bootstrap.v1.BootstrapParams` message, which carries the options as one of its extensions.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use containerd_shim::Flags;
use containerd_shim_protos::bootstrap_api::BootstrapParams;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use crate::{log_fifo, options};

/// The parameters of a `start`.
#[derive(Debug, Default, PartialEq)]
pub struct Bootstrap {
    /// The runtime's options.
    pub options: Option<Any>,
    /// The directory for the pod's socket; `None` for the one that all shims use.
    pub socket_dir: Option<PathBuf>,
    /// The types of the extensions that this shim does not know.
    unknown: Vec<String>,
}

impl Bootstrap {
    /// Reads it from standard input. Unknown extensions are logged to containerd's log.
    ///
    /// # Errors
    /// When the input is neither message.
    pub fn read(flags: &Flags) -> anyhow::Result<Self> {
        const MAX_BYTES: u64 = 10 << 20;
        let mut bytes = Vec::new();
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            stdin.take(MAX_BYTES).read_to_end(&mut bytes).context("cannot read the options")?;
        }
        let bootstrap = Self::of(&bytes, &flags.id, &flags.namespace)?;
        if !bootstrap.unknown.is_empty() {
            log_fifo::open(Path::new("."), flags.debug);
            log::warn!("this shim knows nothing of the extensions {}", bootstrap.unknown.join(", "));
        }
        Ok(bootstrap)
    }

    /// The first two fields of both messages have the same encoding. In the new message they are the id and the
    /// namespace, which the command line has as well: that is how the two are distinguished.
    fn of(bytes: &[u8], id: &str, namespace: &str) -> anyhow::Result<Self> {
        let params = BootstrapParams::parse_from_bytes(bytes);
        let params = params.ok().filter(|params| params.instance_id == id && params.namespace == namespace);
        let Some(params) = params else {
            let options = Any::parse_from_bytes(bytes).context("cannot read the options")?;
            return Ok(Self { options: Some(options), ..Self::default() });
        };
        let all = params.extensions.into_iter().filter_map(|extension| extension.value.into_option());
        let (options, others): (Vec<_>, Vec<_>) = all.partition(options::are);
        Ok(Self {
            options: options.into_iter().next(),
            socket_dir: params.socket_dir.filter(|dir| !dir.is_empty()).map(PathBuf::from),
            unknown: others.into_iter().map(|any| any.type_url).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use containerd_shim_protos::bootstrap_api::Extension;
    use containerd_shim_protos::protobuf::MessageField;

    use super::*;

    fn any(type_url: &str, value: &[u8]) -> Any {
        Any { type_url: type_url.into(), value: value.into(), ..Any::default() }
    }

    #[test]
    fn options_are_all_there_is_or_one_of_the_extensions() {
        let options = any("runtimeoptions.v1.Options", b"\x1a\x14SystemdCgroup = true");
        let extension =
            |value: &Any| Extension { value: MessageField::some(value.clone()), ..Extension::default() };
        let params = BootstrapParams {
            instance_id: "one".into(),
            namespace: "ns".into(),
            containerd_version: "2.3.4".into(),
            extensions: vec![
                extension(&any("containerd.io/cri.v1.PodSandboxConfig", b"x")),
                extension(&options),
            ],
            socket_dir: Some("/run/s".into()),
            ..BootstrapParams::default()
        };
        let new = Bootstrap::of(&params.write_to_bytes().unwrap(), "one", "ns").unwrap();
        assert_eq!((new.options.as_ref(), new.socket_dir), (Some(&options), Some("/run/s".into())));
        assert_eq!(new.unknown, ["containerd.io/cri.v1.PodSandboxConfig"]);
        let old = Bootstrap::of(&options.write_to_bytes().unwrap(), "one", "ns").unwrap();
        assert_eq!(old, Bootstrap { options: Some(options), ..Bootstrap::default() });
        let none = Bootstrap::of(b"", "one", "ns").unwrap();
        assert_eq!((none.options, none.socket_dir), (Some(Any::default()), None));
        assert!(Bootstrap::of(b"\xff", "one", "ns").is_err());
    }
}
