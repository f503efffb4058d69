//! Which devices a Linux container may use, where the kernel's own filter is not at hand.
//!
//! On cgroup v2 devices are filtered by a program of the cgroup's, which libcgroups attaches only with a
//! feature that needs a BPF library. Without it, a container may make no device files, so that none but
//! those it is given can be opened. A container that may use all devices anyway keeps the right.

use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxDeviceType, Spec};

/// The capabilities a process of the container is left with.
pub(crate) fn without_mknod(spec: &Spec, mut granted: LinuxCapabilities) -> LinuxCapabilities {
    // Where it cannot be told who filters, nobody does.
    let filtered = matches!(get_cgroup_setup(), Ok(CgroupSetup::Legacy | CgroupSetup::Hybrid));
    if filtered || may_use_all(spec) {
        return granted;
    }
    let less = |set: &Option<Capabilities>| {
        set.as_ref().map(|set| set.iter().copied().filter(|cap| *cap != Capability::Mknod).collect())
    };
    let (bounding, effective) = (less(granted.bounding()), less(granted.effective()));
    let (permitted, inheritable) = (less(granted.permitted()), less(granted.inheritable()));
    let ambient = less(granted.ambient());
    granted
        .set_bounding(bounding)
        .set_effective(effective)
        .set_permitted(permitted)
        .set_inheritable(inheritable)
        .set_ambient(ambient);
    granted
}

/// Whether the spec's last word on devices is that all are allowed.
fn may_use_all(spec: &Spec) -> bool {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let rules = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
    let of_all = |kind: Option<LinuxDeviceType>| kind.is_none_or(|kind| kind == LinuxDeviceType::A);
    let last = rules.iter().rfind(|rule| {
        of_all(rule.typ())
            && rule.major().is_none_or(|major| major < 0)
            && rule.minor().is_none_or(|minor| minor < 0)
    });
    last.is_some_and(|rule| rule.allow())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_for_all_devices_counts() {
        let check = |rules: &str, expected: bool| {
            let json = format!(r#"{{"ociVersion":"1.0.2","linux":{{"resources":{{"devices":{rules}}}}}}}"#);
            assert_eq!(may_use_all(&serde_json::from_str(&json).unwrap()), expected, "{rules}");
        };
        check("[]", false);
        check(r#"[{"allow":false,"access":"rwm"}]"#, false);
        check(r#"[{"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"}]"#, true);
        check(r#"[{"allow":true,"type":"a","access":"rwm"}]"#, true);
        check(r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3}]"#, false);
    }
}
