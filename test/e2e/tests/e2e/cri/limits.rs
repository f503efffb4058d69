//! Statistics, updates of limits, and OOM.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cri::container::Container;
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::poll;
use e2e::runner::Scenario;

use super::both;

const MIB: i64 = 1 << 20;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("stats", stats));
    scenarios.extend(both("update", update));
    scenarios.push(cri::any("cri-native-oom", oom));
    scenarios.push(cri::ours("cri-wasm-memory-grow", memory_grow));
    scenarios
}

/// The statistics of a container that has worked and is now idle equal the kernel's.
fn stats(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("stats").run()?;
    let plan = pod.container("works").limits(|limits| limits.memory_limit_in_bytes = 256 * MIB);
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo ready; exec sleep 1000";
    let container = match guest {
        Guest::Wasm => plan.args(guest.ready()).start()?,
        Guest::Native => plan.script(script).start()?,
    };
    container.says("ready")?;
    let group = Group::of(container.pid()?)?;
    let stats = container.stats()?;
    let attributes = stats.attributes.clone().unwrap_or_default();
    ensure!(attributes.id == container.id, "the statistics are those of {}", attributes.id);
    let cpu = stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds).context("no CPU time")?.value;
    near("the CPU time", cpu, group.cpu_time()?, 20_000_000)?;
    let memory = stats.memory.and_then(|memory| memory.working_set_bytes).context("no working set")?.value;
    near("the working set", memory, group.memory()?, 2 << 20)?;
    ensure!(memory > 0 && cpu > 0, "{memory} bytes after {cpu} ns");
    let listed = container.stats_listed()?;
    ensure!(listed.len() == 1, "the pod's containers have {} statistics", listed.len());
    Ok(())
}

fn near(what: &str, reported: u64, kernel: u64, tolerance: u64) -> Result<()> {
    let off = reported.abs_diff(kernel);
    ensure!(off <= tolerance, "{what} is reported as {reported}; the kernel says {kernel}");
    Ok(())
}

/// New limits are set in the cgroup of the running container.
fn update(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("update").run()?;
    let plan = pod.container("limited").limits(|limits| {
        limits.memory_limit_in_bytes = 128 * MIB;
        limits.cpu_period = 100_000;
        limits.cpu_quota = 50_000;
        limits.cpu_shares = 512;
    });
    let container = plan.ready(guest)?;
    let group = Group::of(container.pid()?)?;
    group.is(128 * MIB, 50_000, 512).context("as created")?;
    container.update(|limits| {
        limits.memory_limit_in_bytes = 64 * MIB;
        limits.cpu_period = 100_000;
        limits.cpu_quota = 20_000;
        limits.cpu_shares = 256;
    })?;
    group.is(64 * MIB, 20_000, 256).context("as updated")?;
    // Limits that the update does not name stay.
    container.update(|limits| limits.cpu_quota = 30_000)?;
    group.is(64 * MIB, 30_000, 256).context("as updated in part")?;
    container.stop(5)
}

/// A container that exceeds its memory limit is killed, and its status gives the reason.
fn oom(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("oom").run()?;
    let plan = pod.container("greedy").limits(|limits| {
        limits.memory_limit_in_bytes = 32 * MIB;
        limits.memory_swap_limit_in_bytes = 32 * MIB;
    });
    let greedy = ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let container = plan.args(&greedy).start()?;
    let status = container.ended()?;
    ensure!(status.exit_code == 137, "{status:?}");
    // The OOM event and the exit event are separate.
    let reported = || Ok((container.status()?.reason == "OOMKilled").then_some(()));
    poll("the reason OOMKilled", Duration::from_secs(5), reported)
        .with_context(|| format!("{:?}", container.status()))
}

/// A guest that asks for more memory than the limit is refused, and lives.
fn memory_grow(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("grow").run()?;
    let plan = pod.container("grows").limits(|limits| {
        limits.memory_limit_in_bytes = 64 * MIB;
        limits.memory_swap_limit_in_bytes = 64 * MIB;
    });
    let container: Container<'_> = plan.args(&["/guests/grow-lazily.wasm"]).start()?;
    container.finish()?.ok().map(drop)
}

/// The cgroup of a process, v1 or v2.
struct Group {
    v2: bool,
    cpu: PathBuf,
    accounts: PathBuf,
    memory: PathBuf,
}

impl Group {
    fn of(pid: i32) -> Result<Self> {
        let dir = |controller: &str| kernel::cgroup(pid, controller);
        let v2 = dir("memory").is_err();
        let name = |controller: &'static str| if v2 { "" } else { controller };
        Ok(Self { v2, cpu: dir(name("cpu"))?, accounts: dir(name("cpuacct"))?, memory: dir(name("memory"))? })
    }

    fn cpu_time(&self) -> Result<u64> {
        if self.v2 {
            return Ok(field(&self.cpu.join("cpu.stat"), "usage_usec")? * 1000);
        }
        number(&self.accounts.join("cpuacct.usage"))
    }

    /// The working set: used memory, less what the kernel could reclaim at once.
    fn memory(&self) -> Result<u64> {
        let (used, idle) = match self.v2 {
            true => ("memory.current", "inactive_file"),
            false => ("memory.usage_in_bytes", "total_inactive_file"),
        };
        let idle = field(&self.memory.join("memory.stat"), idle)?;
        Ok(number(&self.memory.join(used))?.saturating_sub(idle))
    }

    fn is(&self, memory: i64, quota: i64, shares: u64) -> Result<()> {
        if self.v2 {
            says(&self.memory.join("memory.max"), &memory.to_string())?;
            says(&self.cpu.join("cpu.max"), &format!("{quota} 100000"))?;
            // Runtimes convert shares to weights differently; fewer than 1024 shares always give less than 100.
            let weight = number(&self.cpu.join("cpu.weight"))?;
            ensure!(weight < 100, "{shares} shares became the weight {weight}");
            return Ok(());
        }
        says(&self.memory.join("memory.limit_in_bytes"), &memory.to_string())?;
        says(&self.cpu.join("cpu.cfs_quota_us"), &quota.to_string())?;
        says(&self.cpu.join("cpu.shares"), &shares.to_string())
    }
}

fn says(file: &Path, expected: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    ensure!(text.trim() == expected, "{} says {text:?} instead of {expected}", file.display());
    Ok(())
}

fn number(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.trim().parse()?)
}

fn field(file: &Path, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("{} has no {name}", file.display()))?.parse()?)
}
