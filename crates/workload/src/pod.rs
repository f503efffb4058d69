//! The pod of a container, whose daemon serves it, and its role in the pod.

use std::collections::HashMap;

/// Annotation by which containerd's CRI plug-in groups containers.
const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";
/// Annotation by which runc's shim lets any client group containers.
const RUNC_GROUP: &str = "io.containerd.runc.v2.group";
/// The annotation with CRI's role of a container: `sandbox` or `container`.
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// The group of containers that share one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod(pub String);

/// The role of a container in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The pause container: always a Linux program, whatever the image holds.
    Sandbox,
    /// Everything else.
    Application,
}

impl Pod {
    /// The pod of container `id`: CRI's sandbox, else runc's group, else a pod of its own.
    pub fn of(id: &str, annotations: &HashMap<String, String>) -> Self {
        let named = |key: &str| annotations.get(key).filter(|name| !name.is_empty());
        Self(named(SANDBOX_ID).or_else(|| named(RUNC_GROUP)).cloned().unwrap_or_else(|| id.into()))
    }
}

impl Role {
    /// Reads the role from the annotations; containers outside Kubernetes are applications.
    pub fn of(annotations: &HashMap<String, String>) -> Self {
        match annotations.get(CONTAINER_TYPE).map(String::as_str) {
            Some("sandbox") => Self::Sandbox,
            _ => Self::Application,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_as_cri_and_runc_do() {
        let check = |pairs: &[(&str, &str)], pod: &str, role| {
            let annotations = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(Pod::of("c1", &annotations), Pod(pod.into()));
            assert_eq!(Role::of(&annotations), role);
        };
        check(&[], "c1", Role::Application);
        check(&[(RUNC_GROUP, "g")], "g", Role::Application);
        check(&[(RUNC_GROUP, "g"), (SANDBOX_ID, "s")], "s", Role::Application);
        check(&[(SANDBOX_ID, "")], "c1", Role::Application);
        check(&[(SANDBOX_ID, "c1"), (CONTAINER_TYPE, "sandbox")], "c1", Role::Sandbox);
        check(&[(CONTAINER_TYPE, "container")], "c1", Role::Application);
    }
}
