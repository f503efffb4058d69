//! Which devices a container may open or make: the spec's rules, then what every container of its kind has, and
//! nothing else. On v1 the devices controller keeps to them, on v2 a program of the cgroup's.

mod kernel;
mod program;
mod rules;
mod v1;

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use oci_spec::runtime::LinuxResources;
use workload::Workload;

use super::folders::Folders;
use rules::Rules;
pub use rules::Whose;

impl Folders {
    /// Lets the container use the devices that `resources` and its kind allow, in the place of what it might use
    /// so far. On v2 what both refuse is refused all the while.
    ///
    /// # Errors
    /// Names the rule that makes no sense, or the cgroup and what the kernel said.
    pub fn allow_devices(
        &self,
        workload: &Workload,
        resources: &LinuxResources,
        whose: Whose,
    ) -> anyhow::Result<()> {
        let linux = workload.spec.linux().as_ref();
        let made = linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
        let rules = Rules::of(resources.devices().as_deref().unwrap_or_default(), made, whose)?;
        match self.unified() {
            Some(folder) => filter(folder, &rules)
                .with_context(|| format!("cannot filter the devices of cgroup {}", folder.display())),
            None => self.write_devices(&rules),
        }
    }

    fn write_devices(&self, rules: &Rules) -> anyhow::Result<()> {
        let lines = v1::lines(rules)?;
        let folder = self
            .of_controller("devices")
            .context("cannot limit devices: this host has no devices controller")?;
        for (file, line) in lines {
            let path = folder.join(file);
            fs::write(&path, &line)
                .with_context(|| format!("cannot write {line:?} to {}", path.display()))?;
        }
        Ok(())
    }
}

/// Attaches the rules' program to a cgroup of v2, then takes away those that this function attached before.
fn filter(folder: &Path, rules: &Rules) -> anyhow::Result<()> {
    let cgroup = File::open(folder)?;
    let before = kernel::ours(&cgroup).context("cannot list the programs there are")?;
    let program = kernel::load(&program::compile(rules)).context("the kernel did not take the program")?;
    kernel::attach(&program, &cgroup).context("cannot attach the program")?;
    before.iter().try_for_each(|old| kernel::detach(old, &cgroup).context("cannot take the old program away"))
}
