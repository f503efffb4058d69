//! A bundle's `config.json`.

use std::path::Path;

use workload::Guest;

use crate::Run;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    Ok(Box::new(|json| {
        let Some(workload) = super::workload(json) else { return };
        let _ = (workload.pod(), workload.role(), workload.engine(), workload.host_uid());
        let _ = (workload.rootfs(), workload.memory_limit(), workload.binds_low_ports());
        for candidate in workload.entrypoint_candidates() {
            assert!(candidate.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            let _ = workload.locate(&candidate);
        }
        let _ = workload.locate(Path::new("a/b"));
        assert!(workload.volumes().count() <= workload.spec.mounts().as_ref().map_or(0, Vec::len));
        for world in super::worlds() {
            let _ = Guest::of(&workload, world);
        }
        // It is passed on to other processes in this form.
        let again = serde_json::to_vec(&workload).ok().map(|json| serde_json::from_slice(&json));
        assert!(matches!(again, Some(Ok::<workload::Workload, _>(_))), "what was read can be handed on");
    }))
}
