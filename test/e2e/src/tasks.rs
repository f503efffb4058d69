//! The tasks of one containerd, through `ctr tasks` and `ctr containers`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::containerd::Containerd;
use crate::output::Output;
use crate::process::{poll, run};
use crate::scope::Process;

/// One line of `ctr tasks list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The container's id.
    pub id: String,
    /// The process's id on the host.
    pub pid: i32,
    /// `CREATED`, `RUNNING`, `STOPPED`, …
    pub status: String,
}

impl Containerd {
    /// Every task.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        let listed = run(&mut self.ctr(["tasks", "list"]))?.ok().context("ctr tasks list")?;
        Ok(listed.stdout.lines().skip(1).filter_map(line).collect())
    }

    /// The task of container `id`.
    ///
    /// # Errors
    /// When there is none.
    pub fn task(&self, id: &str) -> Result<Task> {
        let found = self.tasks()?.into_iter().find(|task| task.id == id);
        found.with_context(|| format!("containerd lists no task {id}"))
    }

    /// Waits until the task of `id` is `status`.
    ///
    /// # Errors
    /// When it is not within a few seconds.
    pub fn becomes(&self, id: &str, status: &str) -> Result<()> {
        poll(&format!("task {id} to be {status}"), Duration::from_secs(10), || {
            Ok(self.tasks()?.iter().any(|task| task.id == id && task.status == status).then_some(()))
        })
    }

    /// Sends `signal` to the container's first process, or to all of them.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn kill(&self, id: &str, signal: &str, all: bool) -> Result<()> {
        let whom = if all { &["--all"][..] } else { &[] };
        run(self.ctr(["tasks", "kill", "--signal", signal]).args(whom).arg(id))?
            .ok()
            .context("ctr tasks kill")?;
        Ok(())
    }

    /// Sends `signal` to the process `exec_id` of the container.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn kill_exec(&self, id: &str, exec_id: &str, signal: &str) -> Result<()> {
        let mut command = self.ctr(["tasks", "kill", "--signal", signal, "--exec-id", exec_id, id]);
        run(&mut command)?.ok().context("ctr tasks kill --exec-id")?;
        Ok(())
    }

    /// Freezes the container.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn pause(&self, id: &str) -> Result<()> {
        run(&mut self.ctr(["tasks", "pause", id]))?.ok().context("ctr tasks pause").map(drop)
    }

    /// Resumes the frozen container.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn resume_task(&self, id: &str) -> Result<()> {
        run(&mut self.ctr(["tasks", "resume", id]))?.ok().context("ctr tasks resume").map(drop)
    }

    /// The container's metrics.
    ///
    /// # Errors
    /// The output of `ctr`, or that it is no JSON.
    pub fn metrics(&self, id: &str) -> Result<Value> {
        let output = run(&mut self.ctr(["tasks", "metrics", "--format", "json", id]))?.ok()?;
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("ctr tasks metrics: {:?}", output.stdout))
    }

    /// The processes of the container, as `ctr tasks ps` lists them.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn pids(&self, id: &str) -> Result<Vec<i32>> {
        let listed = run(&mut self.ctr(["tasks", "ps", id]))?.ok().context("ctr tasks ps")?;
        let first = |line: &str| line.split_whitespace().next()?.parse().ok();
        Ok(listed.stdout.lines().skip(1).filter_map(first).collect())
    }

    /// Tries to delete the task of `id`, and returns the output.
    ///
    /// # Errors
    /// When `ctr` does not end.
    pub fn try_delete_task(&self, id: &str) -> Result<Output> {
        run(&mut self.ctr(["tasks", "delete", id]))
    }

    /// Deletes the stopped task of `id`, whose exit code must be `code`.
    ///
    /// # Errors
    /// When `ctr` fails or the exit code is another.
    pub fn delete_task(&self, id: &str, code: i32) -> Result<()> {
        let deleted = self.try_delete_task(id)?.ok().context("ctr tasks delete")?;
        // ctr prints the code in a warning, and only if it is not 0.
        let said = deleted.stderr.split_once("exit with non-zero exit code ").map_or("0", |(_, code)| code);
        ensure!(
            said.trim_end().trim_end_matches('"') == code.to_string(),
            "exit code {said} instead of {code}"
        );
        Ok(())
    }

    /// Kills the task of `id`, waits for its end, deletes it and its container: exit code 137.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn kill_and_delete(&self, id: &str) -> Result<()> {
        self.kill(id, "SIGKILL", false)?;
        self.becomes(id, "STOPPED")?;
        self.delete_task(id, 137)?;
        self.delete_container(id)
    }

    /// Deletes container `id`, which has no task.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn delete_container(&self, id: &str) -> Result<()> {
        run(&mut self.ctr(["containers", "delete", id]))?.ok().context("ctr containers delete")?;
        Ok(())
    }

    /// The spec of container `id` as containerd stores it.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn spec_of(&self, id: &str) -> Result<Value> {
        let spec = run(&mut self.ctr(["containers", "info", "--spec", id]))?.ok()?;
        Ok(serde_json::from_str(&spec.stdout)?)
    }

    /// The daemon that serves `id`: the shim process whose parent is not one of the shim's.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn shim_of(&self, id: &str) -> Result<Process> {
        let ours = |process: &Process| {
            let mut words = process.command.split_whitespace();
            words.next().is_some_and(|program| program.contains("containerd-shim"))
                && words.any(|word| word == id)
        };
        let shims: Vec<Process> = self.scope.processes()?.into_iter().filter(ours).collect();
        let root = |process: &&Process| !shims.iter().any(|other| other.pid == process.parent);
        match shims.iter().filter(root).collect::<Vec<_>>().as_slice() {
            [one] => Ok((*one).clone()),
            other => bail!("{} daemons serve {id}: {other:?}", other.len()),
        }
    }

    /// Removes every task and container that a failed scenario left, so that the next one starts clean.
    ///
    /// # Errors
    /// When `ctr` cannot list them.
    pub fn clear(&self) -> Result<()> {
        for task in self.tasks()? {
            run(&mut self.ctr(["tasks", "delete", "--force", &task.id]))?;
        }
        let listed = run(&mut self.ctr(["containers", "list", "--quiet"]))?.ok()?;
        for id in listed.stdout.split_whitespace() {
            run(&mut self.ctr(["containers", "delete", id]))?;
        }
        Ok(())
    }
}

fn line(line: &str) -> Option<Task> {
    let [id, pid, status] = line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    Some(Task { id: id.into(), pid: pid.parse().ok()?, status: status.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_the_list() {
        let task = Task { id: "a".into(), pid: 12, status: "RUNNING".into() };
        assert_eq!(line("a     12    RUNNING"), Some(task));
        assert_eq!(line("TASK"), None);
    }
}
