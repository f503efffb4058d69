//! The end of a container: what Create made is taken down, by its daemon or, where that is gone, by `delete`.

use container::cgroup::Cgroup;
use container::hooks::Moment;
use container::rootfs;
use workload::Workload;

use crate::apart::apart;
use crate::nursery::Nursery;
use crate::record::{self, Record, SNAPSHOT};

/// One thing to do.
pub enum Step {
    /// This, which may wait in the kernel.
    Do(Box<dyn FnOnce() -> anyhow::Result<()> + Send>),
    /// Remove what libcontainer made.
    DeleteNative,
    /// Run the `poststop` hooks for a container whose first process had this id.
    Hooks {
        /// 0 where it had none.
        pid: i32,
    },
}

/// What there is to do for a container of which `record` says how far it came, in order. Each step is tried, whatever
/// becomes of the others.
pub fn steps(workload: &Workload, record: &Record) -> Vec<Step> {
    let mut steps = Vec::new();
    let bundle = workload.bundle.clone();
    if let Some(process) = record.process {
        steps.push(Step::Do(Box::new(move || {
            process.kill();
            Ok(())
        })));
    }
    if record.entered && record.native {
        steps.push(Step::DeleteNative);
    } else if record.entered {
        let cgroup = Cgroup::of(workload);
        steps.push(Step::Do(Box::new(move || cgroup?.remove())));
    }
    if record.mounted {
        let snapshot = bundle.join(SNAPSHOT);
        steps.push(Step::Do(Box::new(move || rootfs::unmount_all(&snapshot))));
    }
    if record.entered && !record.native {
        steps.push(Step::Hooks { pid: record.process.map_or(0, |process| process.pid) });
    }
    // Also after a failure: what could not be removed now is told now, and hooks run once.
    steps.push(Step::Do(Box::new(move || record::forget(&bundle))));
    steps
}

/// Takes a container down, as its daemon does.
///
/// # Errors
/// The first of what went wrong.
pub async fn take_down(nursery: &Nursery, workload: &Workload, record: &Record) -> anyhow::Result<()> {
    let mut all = Ok(());
    for step in steps(workload, record) {
        let done = match step {
            Step::Do(work) => apart(work).await,
            Step::DeleteNative => nursery.delete_native(workload).await,
            // Where the note is gone, a `delete` of containerd's was here before, and ran them.
            Step::Hooks { .. } if !record::is_noted(&workload.bundle) => Ok(()),
            Step::Hooks { pid } => nursery.run_hooks(workload, Moment::Stopped, pid).await,
        };
        all = all.and(done);
    }
    all
}
