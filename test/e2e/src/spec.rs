//! OCI specs for what `ctr run` has no flags for: starts from the version's own default spec.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::containerd::Containerd;
use crate::process::run;

impl Containerd {
    /// The default spec of this version, with the test image's files as root and these `args`.
    ///
    /// # Errors
    /// When `ctr` prints no spec.
    pub fn default_spec(&self, id: &str, args: &[&str]) -> Result<Value> {
        let printed = run(&mut self.ctr(["oci", "spec"]))?.ok().context("ctr oci spec")?;
        let mut spec: Value = serde_json::from_str(&printed.stdout)?;
        spec["root"] = json!({ "path": self.rootfs() });
        spec["process"]["args"] = json!(args);
        // The printed spec has no container's cgroup.
        spec["linux"]["cgroupsPath"] = json!(self.shim.driver.path(&self.scope.tag, id));
        Ok(spec)
    }

    /// Writes `spec` to a file of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_spec(&self, id: &str, spec: &Value) -> Result<PathBuf> {
        let path = self.scope.dir.join("tmp").join(format!("{id}.json"));
        fs::write(&path, spec.to_string())?;
        Ok(path)
    }

    /// The directory of the unpacked test image.
    pub fn rootfs(&self) -> PathBuf {
        self.scope.dir.join("rootfs")
    }
}
