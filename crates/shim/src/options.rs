//! Reads the runtime's options from any of the messages in which containerd passes them.

use std::path::Path;

use anyhow::{Context, bail};
use containerd_shim_protos::protobuf::rt::WireType;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{self, CodedInputStream, Message};
use containerd_shim_protos::shim::oci::Options as RuncOptions;
use workload::Options;

/// The messages that carry options.
const RUNC: &str = "containerd.runc.v1.Options";
const GENERIC: &str = "runtimeoptions.v1.Options";
const OLD_RUNC: &str = "containerd.linux.runc.CreateOptions";

/// Reads the options of a Create in containerd's `namespace`. No message means the defaults.
///
/// # Errors
/// Names the message, or the file it refers to, that cannot be read.
pub fn read(any: Option<&Any>, namespace: &str) -> anyhow::Result<Options> {
    let Some(any) = any.filter(|any| !any.type_url.is_empty()) else { return Ok(Options::default()) };
    let mut options = match name(any) {
        RUNC => from_runc(&any.value)?,
        GENERIC => generic(&any.value)?,
        OLD_RUNC => from_old_runc(&any.value)?,
        other => bail!(
            "the runtime's options are a {other}; this shim reads runtimeoptions.v1.Options and containerd.runc.v1.Options"
        ),
    };
    if !options.root.is_empty() {
        options.root = Path::new(&options.root).join(namespace).display().to_string();
    }
    Ok(options)
}

/// Whether [`read`] knows the message's type.
pub fn are(any: &Any) -> bool {
    [RUNC, GENERIC, OLD_RUNC].contains(&name(any))
}

fn name(any: &Any) -> &str {
    any.type_url.trim_start_matches('/')
}

/// The options of runc's shim.
fn from_runc(bytes: &[u8]) -> anyhow::Result<Options> {
    let runc = RuncOptions::parse_from_bytes(bytes).context("cannot read containerd.runc.v1.Options")?;
    let without_effect = [("BinaryName", &runc.binary_name), ("CriuImagePath", &runc.criu_image_path)];
    for (key, value) in without_effect {
        if !value.is_empty() {
            warn_of(&[key.to_owned()]);
        }
    }
    Ok(Options {
        systemd_cgroup: runc.systemd_cgroup,
        no_new_keyring: runc.no_new_keyring,
        shim_cgroup: runc.shim_cgroup,
        io_uid: runc.io_uid,
        io_gid: runc.io_gid,
        root: runc.root,
        ..Options::default()
    })
}

/// Go clients before containerd 2 send this to any runtime: 8 no_new_keyring, 9 shim_cgroup, 10 io_uid, 11 io_gid. The
/// other fields are for runc only.
fn from_old_runc(bytes: &[u8]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    each_field(bytes, |tag, input| {
        match tag {
            NO_NEW_KEYRING => options.no_new_keyring = input.read_bool()?,
            SHIM_CGROUP => options.shim_cgroup = input.read_string()?,
            IO_UID => options.io_uid = input.read_uint32()?,
            IO_GID => options.io_gid = input.read_uint32()?,
            _ => return Ok(false),
        }
        Ok(true)
    })
    .context("cannot read containerd.linux.runc.CreateOptions")?;
    Ok(options)
}

/// `runtimeoptions.v1.Options`: 1 type_url, 2 config_path, 3 config_body.
fn generic(bytes: &[u8]) -> anyhow::Result<Options> {
    let (path, body) = fields(bytes).context("cannot read runtimeoptions.v1.Options")?;
    let text = match (path.as_str(), body.is_empty()) {
        (_, false) => String::from_utf8(body).context("the options' body is not text")?,
        ("", true) => return Ok(Options::default()),
        (path, true) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the runtime's options from {path}"))?,
    };
    let (options, unknown) = Options::from_toml(&text)?;
    warn_of(&unknown);
    Ok(options)
}

fn warn_of(unknown: &[String]) {
    if !unknown.is_empty() {
        log::warn!(
            "these options of the runtime have no effect with the Lighter shim: {}",
            unknown.join(", ")
        );
    }
}

fn fields(bytes: &[u8]) -> protobuf::Result<(String, Vec<u8>)> {
    let (mut path, mut body) = (String::new(), Vec::new());
    each_field(bytes, |tag, input| {
        match tag {
            CONFIG_PATH => path = input.read_string()?,
            CONFIG_BODY => body = input.read_bytes()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((path, body))
}

/// The tag of a field: its number and its wire type.
const fn tag(field: u32, wire: WireType) -> u32 {
    field << 3 | wire as u32
}

const CONFIG_PATH: u32 = tag(2, WireType::LengthDelimited);
const CONFIG_BODY: u32 = tag(3, WireType::LengthDelimited);
const NO_NEW_KEYRING: u32 = tag(8, WireType::Varint);
const SHIM_CGROUP: u32 = tag(9, WireType::LengthDelimited);
const IO_UID: u32 = tag(10, WireType::Varint);
const IO_GID: u32 = tag(11, WireType::Varint);

/// Passes each field of a message without a generated type to `take`, which reads its value or returns `false`.
fn each_field(
    bytes: &[u8],
    mut take: impl FnMut(u32, &mut CodedInputStream<'_>) -> protobuf::Result<bool>,
) -> protobuf::Result<()> {
    let mut input = CodedInputStream::from_bytes(bytes);
    while let Some(tag) = input.read_raw_tag_or_eof()? {
        if !take(tag, &mut input)? {
            let wire = WireType::new(tag & 7);
            input.skip_field(wire.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(type_url: &str, value: &[u8]) -> Any {
        Any { type_url: type_url.into(), value: value.into(), ..Any::default() }
    }

    #[test]
    fn reads_every_shape_containerd_sends() {
        let systemd = Options { systemd_cgroup: true, ..Options::default() };
        let runc = RuncOptions { systemd_cgroup: true, ..RuncOptions::default() }.write_to_bytes().unwrap();
        let body = b"\x0a\x01x\x1a\x14SystemdCgroup = true";
        let check = |message: Option<Any>, expected: Option<&Options>| {
            assert_eq!(read(message.as_ref(), "ns").ok().as_ref(), expected, "{message:?}");
        };
        check(None, Some(&Options::default()));
        check(Some(any("", b"")), Some(&Options::default()));
        check(Some(any("containerd.runc.v1.Options", &runc)), Some(&systemd));
        check(Some(any("runtimeoptions.v1.Options", b"")), Some(&Options::default()));
        check(Some(any("runtimeoptions.v1.Options", body)), Some(&systemd));
        check(Some(any("runtimeoptions.v1.Options", b"\x1a\x03= 1")), None);
        check(Some(any("runtimeoptions.v1.Options", b"\x12\x08/nowhere")), None);
        check(Some(any("runtimeoptions.v1.Options", b"\x1a\xff")), None);
        let old = Options {
            no_new_keyring: true,
            shim_cgroup: "/s".into(),
            io_uid: 7,
            io_gid: 300,
            ..Options::default()
        };
        let bytes = b"\x08\x01\x32\x01x\x40\x01\x4a\x02/s\x50\x07\x58\xac\x02";
        check(Some(any("containerd.linux.runc.CreateOptions", bytes)), Some(&old));
        check(Some(any("some.other.Options", b"")), None);
    }
}
