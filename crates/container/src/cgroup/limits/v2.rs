//! Limits on a host with the unified hierarchy. Files and units: the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst`. v1's values, in which specs are written, are converted to v2's as by
//! runc, to which users compare.

use anyhow::{bail, ensure};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::settings::{Setting, Settings, unless_unlimited};

pub(super) fn settings(resources: &LinuxResources) -> anyhow::Result<Vec<Setting>> {
    let mut all = Settings::default();
    if let Some(memory) = resources.memory() {
        set_memory(&mut all, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        set_cpu(&mut all, cpu)?;
    }
    all.set_pids(resources);
    if let Some(io) = resources.block_io() {
        set_io(&mut all, io);
    }
    for page in resources.hugepage_limits().iter().flatten() {
        all.set("hugetlb", format!("hugetlb.{}.max", page.page_size()), page.limit());
    }
    all.set_rdma(resources);
    for (file, value) in resources.unified().iter().flatten() {
        all.set("unified", file, value);
    }
    Ok(all.0)
}

fn set_memory(all: &mut Settings, memory: &LinuxMemory) -> anyhow::Result<()> {
    let given = |limit: Option<i64>| limit.filter(|limit| *limit != 0);
    let bytes = |limit: Option<i64>| given(limit).map(|limit| unless_unlimited(limit, "max"));
    all.given("memory", "memory.swap.max", swap(given(memory.limit()), given(memory.swap()))?);
    all.given("memory", "memory.max", bytes(memory.limit()));
    all.given("memory", "memory.low", bytes(memory.reservation()));
    Ok(())
}

/// A spec's swap is memory and swap together, v2's is swap alone.
fn swap(limit: Option<i64>, both: Option<i64>) -> anyhow::Result<Option<String>> {
    Ok(match (limit, both) {
        // No memory limit and no swap value means no limit of swap either.
        (_, Some(..0)) | (Some(..0), None) => Some("max".into()),
        (_, None) => None,
        (Some(limit @ 0..), Some(both)) if both >= limit => Some((both - limit).to_string()),
        (limit, Some(both)) => {
            bail!("memory and swap together are limited to {both} bytes, memory alone to {limit:?}")
        }
    })
}

fn set_cpu(all: &mut Settings, cpu: &LinuxCpu) -> anyhow::Result<()> {
    let realtime = cpu.realtime_runtime().unwrap_or(0) > 0 || cpu.realtime_period().unwrap_or(0) > 0;
    ensure!(!realtime, "cannot limit realtime processes: cgroup v2 has no such limit");
    all.given("cpu", "cpu.weight", cpu.shares().filter(|shares| *shares != 0).map(weight));
    let (quota, period) = (cpu.quota().filter(|it| *it != 0), cpu.period().filter(|it| *it != 0));
    if quota.is_some() || period.is_some() {
        let quota = unless_unlimited(quota.unwrap_or(-1), "max");
        all.set("cpu", "cpu.max", format!("{quota} {}", period.unwrap_or(100_000)));
    }
    all.given("cpu", "cpu.max.burst", cpu.burst());
    all.given("cpu", "cpu.idle", cpu.idle());
    all.given("cpuset", "cpuset.cpus", cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()));
    all.given("cpuset", "cpuset.mems", cpu.mems().as_ref().filter(|mems| !mems.is_empty()));
    Ok(())
}

/// From v1's range, 2 to 262144, to v2's, 1 to 10000.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn set_io(all: &mut Settings, io: &LinuxBlockIo) {
    // From v1's range, 10 to 1000, to v2's, 1 to 10000.
    let weight = |weight: u16| 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
    let default = io.weight().filter(|given| *given != 0).map(|given| format!("default {}", weight(given)));
    all.given("io", "io.weight", default);
    for device in io.weight_device().iter().flatten() {
        let number = format!("{}:{}", device.major(), device.minor());
        all.given("io", "io.weight", device.weight().map(|given| format!("{number} {}", weight(given))));
    }
    let throttles = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    for (name, devices) in throttles {
        for device in devices.iter().flatten() {
            all.set(
                "io",
                "io.max",
                format!("{}:{} {name}={}", device.major(), device.minor(), device.rate()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resources: &str) -> anyhow::Result<Vec<(String, String)>> {
        let resources = serde_json::from_str(resources)?;
        Ok(settings(&resources)?.into_iter().map(|set| (set.file, set.value)).collect())
    }

    fn check(resources: &str, expected: &[(&str, &str)]) {
        let written = written(resources).unwrap();
        let written: Vec<_> = written.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect();
        assert_eq!(written, expected, "{resources}");
    }

    #[test]
    fn limits_are_converted_from_v1() {
        check("{}", &[]);
        check(r#"{"memory": {"limit": 1048576}}"#, &[("memory.max", "1048576")]);
        check(
            r#"{"memory": {"limit": 1048576, "swap": 1048576}}"#,
            &[("memory.swap.max", "0"), ("memory.max", "1048576")],
        );
        check(r#"{"memory": {"limit": -1}}"#, &[("memory.swap.max", "max"), ("memory.max", "max")]);
        check(r#"{"cpu": {"shares": 2}}"#, &[("cpu.weight", "1")]);
        check(r#"{"cpu": {"shares": 1024}}"#, &[("cpu.weight", "39")]);
        check(r#"{"cpu": {"shares": 999999999}}"#, &[("cpu.weight", "10000")]);
        check(r#"{"cpu": {"quota": 50000}}"#, &[("cpu.max", "50000 100000")]);
        check(r#"{"cpu": {"quota": -1, "period": 20000}}"#, &[("cpu.max", "max 20000")]);
        check(r#"{"pids": {"limit": 0}}"#, &[("pids.max", "max")]);
        check(r#"{"unified": {"memory.high": "1000"}}"#, &[("memory.high", "1000")]);
        check(
            r#"{"blockIO": {"weight": 1000, "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 9}]}}"#,
            &[("io.weight", "default 10000"), ("io.max", "8:1 wiops=9")],
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |resources: &str, word: &str| {
            let error = written(resources).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(r#"{"memory": {"limit": 2048, "swap": 1024}}"#, "together");
        refused(r#"{"memory": {"swap": 1024}}"#, "together");
        refused(r#"{"cpu": {"realtimeRuntime": 5}}"#, "realtime");
    }
}
