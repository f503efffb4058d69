//! The conformance cases of all engines, run through `ctr run` as their headers specify.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use conformance::{Case, Expected, User};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::output::Output;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use crate::jail;

/// How long a signalled guest may take to end, two calls of ctr and its clean-up included.
const PROMPT: Duration = Duration::from_secs(2);

/// Every user that the cases or the scenarios run as.
pub fn users(cases: &[Case]) -> Vec<User> {
    let mut users: Vec<User> = cases.iter().filter_map(|case| case.user).chain([jail::USER]).collect();
    users.sort();
    users.dedup();
    users
}

/// The case as a scenario.
pub fn scenario(case: Case) -> Scenario {
    Scenario::ours(case.name.clone(), move |daemon| {
        let output = run(daemon, &case)?;
        judge(&case, output)
    })
}

fn run(daemon: &Containerd, case: &Case) -> Result<Output> {
    let mut running = described(daemon, case)?.start()?;
    match &case.stdin {
        None => running.feed("")?,
        Some(text) => {
            // ctr passes the end of its stdin on only once it has a task.
            poll("the task to run or end", LIMIT, || {
                let begun = daemon.tasks()?.iter().any(|task| task.status != "CREATED");
                Ok((begun || running.ended()?).then_some(()))
            })?;
            running.feed(text)?;
        }
    }
    if let Some(signal) = &case.signal {
        running.says("ready", LIMIT)?;
        daemon.kill(&case.name, signal, false)?;
        return running.finish(PROMPT);
    }
    running.finish(LIMIT)
}

fn described<'a>(daemon: &'a Containerd, case: &Case) -> Result<Run<'a>> {
    let mut run = daemon.run(&case.name).user(case.user).args(&[&case.entry]).args(&case.args);
    for pair in &case.env {
        run = run.env(pair);
    }
    if let Some(cwd) = &case.cwd {
        run = run.cwd(cwd);
    }
    for (index, mount) in case.mounts.iter().enumerate() {
        let dir = shared_dir(daemon, &format!("{}-{index}", case.name))?;
        run = run.bind(&dir, &mount.path, mount.writable);
    }
    if let Some(memory) = case.memory {
        run = run.flag("--memory-limit", &memory.to_string());
    }
    Ok(if case.readonly_rootfs { run.read_only() } else { run })
}

/// A world-writable directory of the host with a file `note` in it.
pub fn shared_dir(daemon: &Containerd, name: &str) -> Result<PathBuf> {
    let dir = daemon.scope.dir.join("tmp").join(name);
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
    fs::write(dir.join("note"), "from the host")?;
    Ok(dir)
}

fn judge(case: &Case, output: Output) -> Result<()> {
    match &case.expected {
        Expected::Refused(parts) => {
            if output.code == 0 {
                bail!("ran, instead of failing at Create with {parts:?}; stdout {:?}", output.stdout);
            }
            // ctr's own messages begin with its name; what the guest prints does not count.
            let output = output.complains("ctr: ")?;
            parts.iter().try_fold(output, |output, part| output.complains(part))?;
        }
        Expected::Exit { code, stdout, stderr } => {
            let mut output = output.exits(i32::from(*code))?;
            if let Some(text) = stdout {
                output = output.prints(text)?;
            }
            stderr.iter().try_fold(output, |output, part| output.complains(part))?;
        }
    }
    Ok(())
}
