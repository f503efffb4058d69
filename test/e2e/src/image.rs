//! The test image as an OCI archive that `ctr images import` of every version reads: one layer, and one name for each
//! user of the cases, since not every version of `ctr run` has a flag for the user.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use conformance::User;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::examples::Example;
use crate::rootfs::{Device, Kind, Node};

/// The platform that the image declares, whatever it holds.
pub const PLATFORM: &str = "linux/amd64";
/// The image of pods' sandboxes.
pub const PAUSE: &str = "localhost/e2e:pause";
/// Another sandbox image, with another entrypoint.
pub const OTHER_PAUSE: &str = "localhost/e2e:pause-sleep";
/// The image of programs whose stop signal is not SIGTERM.
pub const STOP_USR1: &str = "localhost/e2e:stop-usr1";
/// The mode of files in the archive itself.
const PLAIN: u32 = 0o644;

/// The name of the image whose containers run as `user`.
pub fn name(user: Option<User>) -> String {
    match user {
        None => "localhost/e2e:root".into(),
        Some(user) => format!("localhost/e2e:{}-{}", user.uid, user.gid),
    }
}

/// Writes the archive with `nodes` as the only layer, with one name for root and one for each user.
///
/// # Errors
/// When it cannot be written.
pub fn write(nodes: &[Node], users: &[User], archive: &Path) -> Result<()> {
    let as_user = |user: Option<User>| {
        (name(user), json!({ "User": user.map(|user| user.to_string()).unwrap_or_default() }))
    };
    let images = [None].into_iter().chain(users.iter().copied().map(Some)).map(as_user).chain(special());
    let with_path = |(name, mut inner): (String, Value)| {
        inner["Env"] = json!(["PATH=/bin"]);
        (name, inner)
    };
    let mut archive = Archive::create(archive)?;
    let layer = archive.layer(nodes)?;
    images.map(with_path).try_for_each(|(name, inner)| archive.image(&name, &inner, &layer))?;
    archive.finish()
}

/// Writes an archive of the examples' images.
///
/// # Errors
/// When it cannot be written.
pub fn write_examples(examples: &[Example], archive: &Path) -> Result<()> {
    let mut archive = Archive::create(archive)?;
    for example in examples {
        let layer = archive.layer(&example.nodes)?;
        archive.image(&example.name, &example.config, &layer)?;
    }
    archive.finish()
}

/// An archive that is being written.
struct Archive {
    tar: Builder<std::fs::File>,
    manifests: Vec<Value>,
}

/// A written layer: its descriptor, and the digest of its uncompressed content.
struct Layer {
    described: Value,
    unpacked: String,
}

impl Archive {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { tar: Builder::new(std::fs::File::create(path)?), manifests: vec![] })
    }

    fn layer(&mut self, nodes: &[Node]) -> Result<Layer> {
        let layer = layer(nodes)?;
        let described = blob(&mut self.tar, "application/vnd.oci.image.layer.v1.tar", &layer)?;
        Ok(Layer { described, unpacked: digest(&layer) })
    }

    fn image(&mut self, name: &str, inner: &Value, layer: &Layer) -> Result<()> {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": inner,
            "rootfs": { "type": "layers", "diff_ids": [layer.unpacked] },
        });
        let kind = "application/vnd.oci.image.config.v1+json";
        let config = blob(&mut self.tar, kind, config.to_string().as_bytes())?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let layers = [&layer.described];
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
        let mut manifest = blob(&mut self.tar, kind, manifest.to_string().as_bytes())?;
        manifest["annotations"] = json!({ "io.containerd.image.name": name });
        manifest["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        self.manifests.push(manifest);
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        let index = json!({ "schemaVersion": 2, "manifests": self.manifests });
        append(&mut self.tar, "index.json", index.to_string().as_bytes())?;
        append(&mut self.tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.tar.into_inner()?.flush()?;
        Ok(())
    }
}

/// Two sandbox images, one that reaps and ends on SIGTERM, like Kubernetes', and one that is not even a shell;
/// and one with a stop signal of its own.
fn special() -> [(String, Value); 3] {
    let script = "trap exit TERM; while :; do sleep 1000 & wait; done";
    [
        (PAUSE.into(), json!({ "Entrypoint": ["/bin/sh", "-c", script] })),
        (OTHER_PAUSE.into(), json!({ "Entrypoint": ["/bin/sleep"], "Cmd": ["1000"] })),
        (STOP_USR1.into(), json!({ "StopSignal": "SIGUSR1" })),
    ]
}

fn layer(nodes: &[Node]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for node in nodes {
        let mut header = Header::new_gnu();
        header.set_mode(node.mode);
        match &node.kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, format!("{}/", node.path), std::io::empty())?;
            }
            Kind::File(bytes) => {
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, &node.path, bytes.as_slice())?;
            }
            Kind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                tar.append_link(&mut header, &node.path, target)?;
            }
            Kind::Device(device, major, minor) => {
                header.set_entry_type(match device {
                    Device::Char => EntryType::Char,
                    Device::Block => EntryType::Block,
                });
                header.set_device_major(*major)?;
                header.set_device_minor(*minor)?;
                tar.append_data(&mut header, &node.path, std::io::empty())?;
            }
        }
    }
    Ok(tar.into_inner()?)
}

/// Stores `bytes` under their digest and returns the OCI descriptor.
fn blob(tar: &mut Builder<std::fs::File>, kind: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    append(tar, &format!("blobs/{}", digest.replace(':', "/")), bytes)?;
    Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
}

fn append(tar: &mut Builder<std::fs::File>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(PLAIN);
    header.set_size(bytes.len() as u64);
    Ok(tar.append_data(&mut header, path, bytes)?)
}

fn digest(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    format!("sha256:{}", sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
