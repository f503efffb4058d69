//! Takes down what Create made for a container. Its daemon does that or, if the daemon is gone, `delete`.

use anyhow::Result;
use container::cgroup::Cgroup;
use container::hooks::{self, Moment};
use container::rootfs;
use workload::Workload;

use crate::blocking::blocking;
use crate::nursery::Nursery;
use crate::record::{self, Record, SNAPSHOT};

/// One step of the take-down.
pub enum Step {
    /// Run this, which may block.
    Do(Work),
    /// Remove what libcontainer made.
    DeleteNative,
    /// Run the `poststop` hooks; there is at least one.
    Hooks {
        /// The id of the container's first process; 0 if it had none.
        pid: i32,
    },
}

type Work = Box<dyn FnOnce() -> Result<()> + Send>;

/// The steps, in order, for a container that came as far as `record` says. A failing step does not stop the others.
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
    if record.entered && !record.native && hooks::any(&workload.spec, Moment::Stopped) {
        steps.push(Step::Hooks { pid: record.process.map_or(0, |process| process.pid) });
    }
    // Also after a failure: that is reported now, and hooks run only once.
    steps.push(Step::Do(Box::new(move || record::forget(&bundle))));
    steps
}

/// Takes a container down in its daemon.
///
/// # Errors
/// The first error.
pub async fn take_down(nursery: &Nursery, workload: &Workload, record: &Record) -> Result<()> {
    let mut all = Ok(());
    let mut steps = steps(workload, record).into_iter().peekable();
    while let Some(step) = steps.next() {
        let done = match step {
            Step::Do(work) => {
                // Together with the ones that follow, to save switches between threads.
                let mut works = vec![work];
                while let Some(Step::Do(next)) = steps.next_if(|next| matches!(next, Step::Do(_))) {
                    works.push(next);
                }
                blocking(move || works.into_iter().map(|work| work()).fold(Ok(()), Result::and)).await
            }
            Step::DeleteNative => nursery.delete_native(workload).await,
            // Without the record, a `delete` by containerd came first and has run them.
            Step::Hooks { .. } if !record::is_noted(&workload.bundle) => Ok(()),
            Step::Hooks { pid } => nursery.run_hooks(workload, Moment::Stopped, pid).await,
        };
        all = all.and(done);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use container::process::Identity;
    use workload::Options;

    use super::*;

    #[test]
    fn only_what_was_begun_is_taken_down() {
        let check = |hooks: &str, [entered, native, mounted, born]: [bool; 4], expected: &[&str]| {
            let json = format!(
                r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"hooks":{{{hooks}}},
                "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/","args":["a"]}}}}"#
            );
            let workload = Workload::read("c", Path::new("/b"), json.as_bytes(), Options::default()).unwrap();
            let process = born.then_some(Identity { pid: 7, started: 1 });
            let record = Record { entered, native, mounted, process, ..Record::new(Options::default()) };
            let named = steps(&workload, &record).into_iter().map(|step| match step {
                Step::Do(_) => "do",
                Step::DeleteNative => "delete",
                Step::Hooks { pid: 7 } => "hooks",
                Step::Hooks { .. } => "hooks without a process",
            });
            assert_eq!(named.collect::<Vec<_>>(), expected, "{hooks} {record:?}");
        };
        let poststop = r#""poststop":[{"path":"/h"}]"#;
        check(poststop, [false, false, false, false], &["do"]);
        check(poststop, [false, false, true, false], &["do", "do"]);
        check(poststop, [true, false, true, false], &["do", "do", "hooks without a process", "do"]);
        check(poststop, [true, false, true, true], &["do", "do", "do", "hooks", "do"]);
        check("", [true, false, true, true], &["do", "do", "do", "do"]);
        // libcontainer runs its own.
        check(poststop, [true, true, true, true], &["do", "delete", "do", "do"]);
    }
}
