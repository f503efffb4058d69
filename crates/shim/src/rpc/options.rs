//! The runtime's options out of whichever message containerd wrapped them in.

use anyhow::{Context, bail};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{CodedInputStream, Message};
use containerd_shim_protos::shim::oci::Options as RuncOptions;
use workload::Options;

/// Reads the options of a Create. None at all are the defaults.
///
/// # Errors
/// Names the message that cannot be read, or the file of a path that cannot.
pub fn read(any: Option<&Any>) -> anyhow::Result<Options> {
    let Some(any) = any.filter(|any| !any.type_url.is_empty()) else { return Ok(Options::default()) };
    match any.type_url.trim_start_matches('/') {
        "containerd.runc.v1.Options" => {
            let runc = RuncOptions::parse_from_bytes(&any.value)
                .context("cannot read containerd.runc.v1.Options")?;
            Ok(Options { systemd_cgroup: runc.systemd_cgroup })
        }
        "runtimeoptions.v1.Options" => generic(&any.value),
        other => bail!(
            "the runtime's options are a {other}; this shim reads runtimeoptions.v1.Options and containerd.runc.v1.Options"
        ),
    }
}

/// `runtimeoptions.v1.Options`: 1 type_url, 2 config_path, 3 config_body.
fn generic(bytes: &[u8]) -> anyhow::Result<Options> {
    let (path, body) = fields(bytes).context("cannot read runtimeoptions.v1.Options")?;
    if !body.is_empty() {
        return Ok(Options::from_toml(std::str::from_utf8(&body).context("the options' body is not text")?)?);
    }
    if path.is_empty() {
        return Ok(Options::default());
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the runtime's options from {path}"))?;
    Ok(Options::from_toml(&text)?)
}

fn fields(bytes: &[u8]) -> containerd_shim_protos::protobuf::Result<(String, Vec<u8>)> {
    const CONFIG_PATH: u32 = 2 << 3 | 2;
    const CONFIG_BODY: u32 = 3 << 3 | 2;
    let (mut path, mut body) = (String::new(), Vec::new());
    let mut input = CodedInputStream::from_bytes(bytes);
    while let Some(tag) = input.read_raw_tag_or_eof()? {
        match tag {
            CONFIG_PATH => path = input.read_string()?,
            CONFIG_BODY => body = input.read_bytes()?,
            other => {
                let wire = containerd_shim_protos::protobuf::rt::WireType::new(other & 7);
                let wire = wire.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
                input.skip_field(wire)?;
            }
        }
    }
    Ok((path, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(type_url: &str, value: &[u8]) -> Any {
        Any { type_url: type_url.into(), value: value.into(), ..Any::default() }
    }

    #[test]
    fn reads_every_shape_containerd_sends() {
        let systemd = Options { systemd_cgroup: true };
        let runc = RuncOptions { systemd_cgroup: true, ..RuncOptions::default() }.write_to_bytes().unwrap();
        let body = b"\x0a\x01x\x1a\x14SystemdCgroup = true";
        let check = |message: Option<Any>, expected: Option<&Options>| {
            assert_eq!(read(message.as_ref()).ok().as_ref(), expected, "{message:?}");
        };
        check(None, Some(&Options::default()));
        check(Some(any("", b"")), Some(&Options::default()));
        check(Some(any("containerd.runc.v1.Options", &runc)), Some(&systemd));
        check(Some(any("runtimeoptions.v1.Options", b"")), Some(&Options::default()));
        check(Some(any("runtimeoptions.v1.Options", body)), Some(&systemd));
        check(Some(any("runtimeoptions.v1.Options", b"\x1a\x03= 1")), None);
        check(Some(any("runtimeoptions.v1.Options", b"\x12\x08/nowhere")), None);
        check(Some(any("runtimeoptions.v1.Options", b"\x1a\xff")), None);
        check(Some(any("some.other.Options", b"")), None);
    }
}
