//! What the tests run on: the containerds in target/containerds, and one shim. scripts/containerds.sh fetches some of
//! them and lists all, users' builds included; their versions are compared, never named.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cgroups::Driver;

/// The default runtime under test; `LIGHTER_E2E_RUNTIME` selects another.
pub(crate) const RUNTIME: &str = "io.containerd.lighter.v1";
/// Our runtimes: the program of each, built beside this test, and its preferred engine.
const OURS: [(&str, &str, &str); 3] = [
    (RUNTIME, "containerd-shim-lighter-v1", "wasmtime"),
    // As scripts/install.sh links it.
    ("io.containerd.wasmtime.v1", "containerd-shim-lighter-v1", "wasmtime"),
    ("io.containerd.wasmedge.v1", "containerd-shim-wasmedge-v1", "wasmedge"),
];

/// One containerd, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Its major.minor.
    pub version: String,
    /// Its whole version, as it reports it.
    pub release: String,
    /// The directory with containerd, ctr and the shims that came with it.
    pub bin: PathBuf,
}

/// The shim that containerd uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim {
    /// The name given to `ctr run --runtime`.
    pub runtime: String,
    /// Our binary; `None` when another runtime is tested, to test the tests.
    pub binary: Option<PathBuf>,
    /// The cgroup driver of its containers.
    pub driver: Driver,
}

impl Install {
    /// Whether it queries a runtime's features, and reports them to the kubelet, only if the runtime has runc's name:
    /// from 2.0 on, until fixed in the maintained releases.
    pub(crate) fn asks_only_runc(&self) -> bool {
        let release = number(&self.release);
        let within = |from: &str, to: &str| release >= number(from) && release < number(to);
        within("2.0", "2.2.7") || within("2.3", "2.3.4")
    }

    /// Parses a line of `versions`: VERSION ORIGIN, then `containerd PACKAGE RELEASE REVISION`.
    fn listed(line: &str, dir: &Path) -> Option<Self> {
        let mut words = line.split(' ');
        let version = words.next()?;
        let release = words.nth(3)?;
        Some(Self { version: version.into(), release: release.into(), bin: dir.join(version).join("bin") })
    }
}

/// Every containerd, oldest first, and a sentence for each missing one.
///
/// # Errors
/// When there is none at all.
pub fn installed() -> Result<(Vec<Install>, Vec<String>)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let dir = target()?.join("containerds");
    let script = project.join("scripts/containerds.sh");
    let status = Command::new(&script).arg(&dir).stdout(std::process::Stdio::null()).status();
    if !status.with_context(|| format!("cannot run {}", script.display()))?.success() {
        bail!("{} failed", script.display());
    }
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let listed = read("versions")?;
    let mut installs: Vec<Install> = listed.lines().filter_map(|line| Install::listed(line, &dir)).collect();
    installs.sort_by_key(|install| number(&install.version));
    let missing: Vec<String> = read("missing")?.lines().map(Into::into).collect();
    if installs.is_empty() {
        bail!("no containerd to test with: {}", missing.join("; "));
    }
    Ok((installs, missing))
}

/// The directory of the dockerd and docker that go with `install`: the older one with containerd 1, the newer one
/// with 2.
///
/// # Errors
/// The reason why there is none.
pub fn docker(install: &Install) -> Result<PathBuf> {
    static FETCHED: LazyLock<Result<(), String>> = LazyLock::new(|| {
        let dir = target().map_err(|error| error.to_string())?.join("docker");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/docker.sh");
        let status = Command::new(&script).arg(&dir).stdout(std::process::Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("{}: {other:?}", script.display())),
        }
    });
    FETCHED.as_ref().map_err(|why| anyhow!("{why}"))?;
    let suite = if number(&install.release) >= number("2.0") { "sid" } else { "trixie" };
    let dir = target()?.join("docker");
    let bin = dir.join(suite).join("bin");
    if !bin.join("dockerd").is_file() {
        let missing = fs::read_to_string(dir.join("missing")).unwrap_or_default();
        bail!("there is no Docker of Debian {suite}: {}", missing.trim().replace('\n', "; "));
    }
    Ok(bin)
}

impl Shim {
    /// The shim of the environment, else the one built beside this test.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn find() -> Result<Self> {
        let driver = Driver::find()?;
        let runtime = env::var("LIGHTER_E2E_RUNTIME").unwrap_or_else(|_| RUNTIME.into());
        let Some((_, program, _)) = OURS.iter().find(|(name, ..)| *name == runtime) else {
            return Ok(Self { runtime, binary: None, driver });
        };
        let binary = match env::var_os("LIGHTER_SHIM") {
            Some(path) => PathBuf::from(path),
            None => profile()?.join(program),
        };
        let found = binary.canonicalize().with_context(|| {
            format!("{}: no shim; `cargo build --release`, or set LIGHTER_SHIM", binary.display())
        })?;
        Ok(Self { runtime, binary: Some(found), driver })
    }

    /// The engine that runs a guest that selects none.
    pub fn engine(&self) -> &'static str {
        OURS.iter().find(|(name, ..)| *name == self.runtime).map_or("wasmtime", |(_, _, engine)| engine)
    }

    /// The program that containerd executes for it: `containerd-shim-NAME-VERSION` for `io.containerd.NAME.VERSION`.
    pub fn program(&self) -> String {
        let mut parts = self.runtime.rsplit('.');
        let (version, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("containerd-shim-{name}-{version}")
    }

    /// Whether it runs Wasm.
    pub fn is_ours(&self) -> bool {
        self.binary.is_some()
    }
}

/// A program of the workspace, built beside this test.
///
/// # Errors
/// When there is no such file.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = profile()?.join(name);
    if !path.is_file() {
        bail!("there is no {}: `cargo build --release --workspace --bins`", path.display());
    }
    Ok(path)
}

/// The directory of Dapr's SDKs.
///
/// # Errors
/// When it is missing or incomplete.
pub fn dapr_sdks() -> Result<PathBuf> {
    let dir = target()?.join("dapr-sdks");
    if !dir.join("pinned").is_file() {
        bail!("Dapr's SDKs are not in {}: run scripts/dapr-sdks.sh", dir.display());
    }
    Ok(dir)
}

/// The directory of the built apps of `test/examples`.
///
/// # Errors
/// When there is none.
pub fn apps() -> Result<PathBuf> {
    let dir = target()?.join("examples");
    if !dir.is_dir() {
        bail!("there is no {}: run scripts/examples.sh", dir.display());
    }
    Ok(dir)
}

/// The directory of this program's build profile, TARGET/TRIPLE/PROFILE: a test is in its `deps`, a binary in the
/// directory itself.
fn profile() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let dir = program.parent().with_context(|| format!("{} lies nowhere", program.display()))?;
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    Ok(dir.into())
}

/// The `target` directory: the project always names its triple, so it is two levels above the profile.
fn target() -> Result<PathBuf> {
    let profile = profile()?;
    let dir = profile.ancestors().nth(2);
    Ok(dir.with_context(|| format!("{} is not in a target directory", profile.display()))?.into())
}

/// The numbers of a version, up to the first other word: distributions and builds add words.
fn number(version: &str) -> Vec<u32> {
    let parts = version.trim_start_matches('v').split(['.', '~', '+', '-']);
    parts.map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(number("1.6") < number("1.10"));
        assert!(number("1.7") < number("2.0") && number("2.3") < number("2.10"));
        assert_eq!(number("1.6.20~ds1"), [1, 6, 20]);
        assert_eq!(number("v2.4.0-beta.1+unknown"), [2, 4, 0]);
    }

    #[test]
    fn a_listed_containerd_is_known_by_its_whole_version() {
        let check = |line: &str, expected: Option<bool>| {
            let found = Install::listed(line, Path::new("/containerds"));
            assert_eq!(found.map(|install| install.asks_only_runc()), expected, "{line}");
        };
        check("1.7 trixie containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6", Some(false));
        check("2.1 sid containerd github.com/containerd/containerd/v2 2.1.9+unknown ", Some(true));
        check("2.2 built containerd github.com/containerd/containerd/v2 v2.2.7 3f1d2", Some(false));
        check("2.3 built containerd github.com/containerd/containerd/v2 2.3.3 db880", Some(true));
        check("2.3 built containerd github.com/containerd/containerd/v2 2.3.4 db880", Some(false));
        check("2.3", None);
    }
}
