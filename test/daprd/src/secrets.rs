//! The secret store: a JSON file of names and values, read at each request, since Kubernetes changes
//! such files in place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, Result};

/// The variable that names the file; it is the stand-in's own, daprd would read a component.
pub const FILE: &str = "STAND_IN_SECRETS";

/// The file.
pub struct Secrets(Option<PathBuf>);

impl Secrets {
    /// The file that the environment names.
    pub fn of_environment() -> Self {
        Self(env::var_os(FILE).map(Into::into))
    }

    /// All secrets; none if no file is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<BTreeMap<String, String>> {
        let Some(path) = &self.0 else { return Ok(BTreeMap::new()) };
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }
}
