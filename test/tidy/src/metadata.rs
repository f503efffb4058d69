//! The workspace's packages and what each depends on, as cargo tells.

use std::env;
use std::process::Command;

use serde_json::Value;

use crate::tree;

/// A member of the workspace.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its Cargo.toml, relative to the repository.
    pub manifest: String,
    /// What it declares to need.
    pub needs: Vec<Need>,
}

/// A dependency as declared.
#[derive(Clone, Debug, Default)]
pub struct Need {
    /// The package's name.
    pub name: String,
    /// Whether it is a member of the workspace.
    pub in_tree: bool,
    /// Whether only tests need it.
    pub for_tests: bool,
    /// Whether a feature brings it in.
    pub optional: bool,
}

/// Asks cargo.
///
/// # Errors
/// What cargo said, or that it said something else than before.
pub fn packages() -> Result<Vec<Package>, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(tree::root());
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = told["packages"].as_array().ok_or("cargo metadata tells no packages")?;
    Ok(packages.iter().map(package).collect())
}

fn package(told: &Value) -> Package {
    let manifest = string(&told["manifest_path"]);
    let root = format!("{}/", tree::root().display());
    let needs = told["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    Package {
        name: string(&told["name"]),
        manifest: manifest.strip_prefix(&root).unwrap_or(&manifest).into(),
        needs: needs.iter().map(need).collect(),
    }
}

fn need(told: &Value) -> Need {
    Need {
        name: string(&told["name"]),
        in_tree: told["path"].is_string(),
        for_tests: told["kind"] == "dev",
        optional: told["optional"] == true,
    }
}

fn string(told: &Value) -> String {
    told.as_str().unwrap_or_default().into()
}
