//! Limits as lines for the files of a cgroup, and those that are the same in v1 and v2. Writes nothing.

use oci_spec::runtime::LinuxResources;

/// One line into one file of a cgroup.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: &'static str,
    pub(super) file: String,
    pub(super) value: String,
}

/// Collects settings.
#[derive(Default)]
pub(super) struct Settings(pub(super) Vec<Setting>);

impl Settings {
    pub(super) fn set(&mut self, controller: &'static str, file: impl Into<String>, value: impl ToString) {
        self.0.push(Setting { controller, file: file.into(), value: value.to_string() });
    }

    /// Only if there is a value.
    pub(super) fn given(&mut self, controller: &'static str, file: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(controller, file, value);
        }
    }
}

/// What is the same in v1 and v2.
impl Settings {
    pub(super) fn set_pids(&mut self, resources: &LinuxResources) {
        let Some(pids) = resources.pids() else { return };
        self.set("pids", "pids.max", if pids.limit() > 0 { pids.limit().to_string() } else { "max".into() });
    }

    pub(super) fn set_rdma(&mut self, resources: &LinuxResources) {
        for (device, limits) in resources.rdma().iter().flatten() {
            let counts = [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())];
            let counts = counts.iter().filter_map(|(name, count)| Some(format!(" {name}={}", (*count)?)));
            self.set("rdma", "rdma.max", format!("{device}{}", counts.collect::<String>()));
        }
    }
}

/// `-1` is no limit, and how that is written.
pub(super) fn unless_unlimited(limit: i64, unlimited: &str) -> String {
    if limit < 0 { unlimited.to_owned() } else { limit.to_string() }
}
