//! The workspace's packages and their dependencies, as `cargo metadata` reports them, and the outside crates.

use std::collections::HashMap;
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
    /// Its declared dependencies.
    pub needs: Vec<Need>,
}

/// A declared dependency.
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

/// An outside crate in the lock.
#[derive(Clone, Debug)]
pub struct Outside {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
    /// Where it comes from.
    pub source: String,
    /// The names of the packages that depend on it.
    pub needed_by: Vec<String>,
}

/// Runs `cargo metadata`.
///
/// # Errors
/// cargo's error output, or what is missing from its output.
pub fn packages() -> Result<Vec<Package>, String> {
    let metadata = metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata reports no packages")?;
    Ok(packages.iter().map(package).collect())
}

/// The outside crates on Linux, with every feature and for every use.
///
/// # Errors
/// See [`packages`].
pub fn outside() -> Result<Vec<Outside>, String> {
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let metadata = metadata(&["--locked", "--all-features", "--filter-platform", &platform])?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata reports no packages")?;
    let nodes = metadata["resolve"]["nodes"].as_array().ok_or("cargo metadata resolves nothing")?;
    let names: HashMap<String, String> =
        packages.iter().map(|package| (string(&package["id"]), string(&package["name"]))).collect();
    let mut needed_by: HashMap<String, Vec<String>> = HashMap::new();
    for node in nodes {
        let name = names.get(&string(&node["id"])).cloned().unwrap_or_default();
        for need in node["dependencies"].as_array().into_iter().flatten() {
            needed_by.entry(string(need)).or_default().push(name.clone());
        }
    }
    let outside = packages.iter().filter(|package| package["source"].is_string()).map(|package| Outside {
        name: string(&package["name"]),
        version: string(&package["version"]),
        license: package["license"].as_str().map(Into::into),
        source: string(&package["source"]),
        needed_by: needed_by.remove(&string(&package["id"])).unwrap_or_default(),
    });
    Ok(outside.collect())
}

fn metadata(arguments: &[&str]) -> Result<Value, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1"]).args(arguments).current_dir(tree::root());
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn package(json: &Value) -> Package {
    let manifest = string(&json["manifest_path"]);
    let root = format!("{}/", tree::root().display());
    let needs = json["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    Package {
        name: string(&json["name"]),
        manifest: manifest.strip_prefix(&root).unwrap_or(&manifest).into(),
        needs: needs.iter().map(need).collect(),
    }
}

fn need(json: &Value) -> Need {
    Need {
        name: string(&json["name"]),
        in_tree: json["path"].is_string(),
        for_tests: json["kind"] == "dev",
        optional: json["optional"] == true,
    }
}

fn string(json: &Value) -> String {
    json.as_str().unwrap_or_default().into()
}
