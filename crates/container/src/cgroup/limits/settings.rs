//! Limits as lines for a cgroup's files, and the limits that v1 and v2 share. Writes nothing.

use oci_spec::runtime::LinuxResources;

/// A line for a file of a cgroup.
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

    /// Adds a setting if there is a value.
    pub(super) fn given(&mut self, controller: &'static str, file: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(controller, file, value);
        }
    }
}

/// Settings that v1 and v2 share.
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

/// A limit as text; a negative one is `unlimited`.
pub(super) fn unless_unlimited(limit: i64, unlimited: &str) -> String {
    if limit < 0 { unlimited.to_owned() } else { limit.to_string() }
}
