//! The devices that a container may open or create: the spec's rules, then the defaults of its kind, and nothing
//! else. Enforced by the devices controller on v1, by a BPF program on v2.

mod kernel;
mod program;
mod rules;
mod v1;

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use oci_spec::runtime::LinuxResources;
use workload::Workload;

use super::dirs::CgroupDirs;
pub use rules::DevicePolicy;
use rules::Rules;

impl CgroupDirs {
    /// Applies the device rules of `resources` and of `policy`, replacing the current ones. On v2, what both refuse
    /// is refused throughout.
    ///
    /// # Errors
    /// Names the invalid rule, or the cgroup and the kernel's error.
    pub fn allow_devices(
        &self,
        workload: &Workload,
        resources: &LinuxResources,
        policy: DevicePolicy,
    ) -> anyhow::Result<()> {
        let linux = workload.spec.linux().as_ref();
        let made = linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
        let rules = Rules::of(resources.devices().as_deref().unwrap_or_default(), made, policy)?;
        match self.unified() {
            Some(dir) => filter(dir, &rules)
                .with_context(|| format!("cannot filter the devices of cgroup {}", dir.display())),
            None => self.write_devices(&rules),
        }
    }

    fn write_devices(&self, rules: &Rules) -> anyhow::Result<()> {
        let lines = v1::lines(rules)?;
        let dir = self
            .of_controller("devices")
            .context("cannot limit devices: this host has no devices controller")?;
        for (file, line) in lines {
            let path = dir.join(file);
            fs::write(&path, &line)
                .with_context(|| format!("cannot write {line:?} to {}", path.display()))?;
        }
        Ok(())
    }
}

/// Attaches the program of `rules` to a v2 cgroup, then detaches those that this function attached before.
fn filter(dir: &Path, rules: &Rules) -> anyhow::Result<()> {
    let cgroup = File::open(dir)?;
    let before = kernel::ours(&cgroup).context("cannot list the programs there are")?;
    let program = kernel::load(&program::compile(rules)).context("the kernel did not take the program")?;
    kernel::attach(&program, &cgroup).context("cannot attach the program")?;
    before.iter().try_for_each(|old| kernel::detach(old, &cgroup).context("cannot take the old program away"))
}
