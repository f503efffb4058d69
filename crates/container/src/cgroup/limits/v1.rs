//! Limits on a host with one hierarchy per controller. Files and units: the kernel's
//! `Documentation/admin-guide/cgroup-v1`.

use anyhow::ensure;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::settings::{Setting, Settings, unless_unlimited};

pub(super) fn settings(resources: &LinuxResources) -> anyhow::Result<Vec<Setting>> {
    let mut all = Settings::default();
    if let Some(memory) = resources.memory() {
        set_memory(&mut all, memory);
    }
    if let Some(cpu) = resources.cpu() {
        set_cpu(&mut all, cpu);
    }
    all.set_pids(resources);
    if let Some(io) = resources.block_io() {
        set_io(&mut all, io);
    }
    for page in resources.hugepage_limits().iter().flatten() {
        all.set("hugetlb", format!("hugetlb.{}.limit_in_bytes", page.page_size()), page.limit());
    }
    if let Some(network) = resources.network() {
        all.given("net_cls", "net_cls.classid", network.class_id());
        for priority in network.priorities().iter().flatten() {
            all.set("net_prio", "net_prio.ifpriomap", format!("{} {}", priority.name(), priority.priority()));
        }
    }
    all.set_rdma(resources);
    let unified = resources.unified().iter().flatten().next();
    ensure!(
        unified.is_none(),
        "cannot set {:?}: \"resources.unified\" is for hosts with cgroup v2, and this one has v1",
        unified.map_or("", |(file, _)| file)
    );
    Ok(all.0)
}

fn set_memory(all: &mut Settings, memory: &LinuxMemory) {
    let bytes =
        |limit: Option<i64>| limit.filter(|limit| *limit != 0).map(|limit| unless_unlimited(limit, "-1"));
    all.given("memory", "memory.limit_in_bytes", bytes(memory.limit()));
    all.given("memory", "memory.memsw.limit_in_bytes", bytes(memory.swap()));
    all.given("memory", "memory.soft_limit_in_bytes", bytes(memory.reservation()));
    all.given("memory", "memory.kmem.tcp.limit_in_bytes", bytes(memory.kernel_tcp()));
    all.given("memory", "memory.swappiness", memory.swappiness());
    all.given("memory", "memory.oom_control", memory.disable_oom_killer().map(u8::from));
}

fn set_cpu(all: &mut Settings, cpu: &LinuxCpu) {
    all.given("cpu", "cpu.shares", cpu.shares().filter(|shares| *shares != 0));
    all.given("cpu", "cpu.cfs_period_us", cpu.period().filter(|period| *period != 0));
    all.given("cpu", "cpu.cfs_quota_us", cpu.quota().filter(|quota| *quota != 0).map(|quota| quota.max(-1)));
    all.given("cpu", "cpu.cfs_burst_us", cpu.burst());
    all.given("cpu", "cpu.idle", cpu.idle());
    all.given("cpu", "cpu.rt_period_us", cpu.realtime_period().filter(|period| *period != 0));
    all.given("cpu", "cpu.rt_runtime_us", cpu.realtime_runtime().filter(|runtime| *runtime != 0));
    all.given("cpuset", "cpuset.cpus", cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()));
    all.given("cpuset", "cpuset.mems", cpu.mems().as_ref().filter(|mems| !mems.is_empty()));
}

fn set_io(all: &mut Settings, io: &LinuxBlockIo) {
    all.given("blkio", "blkio.weight", io.weight().filter(|weight| *weight != 0));
    all.given("blkio", "blkio.leaf_weight", io.leaf_weight().filter(|weight| *weight != 0));
    for device in io.weight_device().iter().flatten() {
        let number = format!("{}:{}", device.major(), device.minor());
        all.given("blkio", "blkio.weight_device", device.weight().map(|weight| format!("{number} {weight}")));
        let leaf = device.leaf_weight().map(|weight| format!("{number} {weight}"));
        all.given("blkio", "blkio.leaf_weight_device", leaf);
    }
    let throttles = [
        ("blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
    ];
    for (file, devices) in throttles {
        for device in devices.iter().flatten() {
            all.set("blkio", file, format!("{}:{} {}", device.major(), device.minor(), device.rate()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(resources: &str, expected: &[(&str, &str)]) {
        let resources = serde_json::from_str(resources).unwrap();
        let settings = settings(&resources).unwrap();
        let written: Vec<_> = settings.iter().map(|set| (set.file.as_str(), set.value.as_str())).collect();
        assert_eq!(written, expected, "{resources:?}");
    }

    #[test]
    fn limits_are_written_in_the_kernels_units() {
        check("{}", &[]);
        check(
            r#"{"memory": {"limit": 1048576, "swap": -1, "disableOOMKiller": true}}"#,
            &[
                ("memory.limit_in_bytes", "1048576"),
                ("memory.memsw.limit_in_bytes", "-1"),
                ("memory.oom_control", "1"),
            ],
        );
        check(
            r#"{"cpu": {"shares": 512, "quota": -1, "period": 100000, "cpus": "0-1", "mems": ""}}"#,
            &[
                ("cpu.shares", "512"),
                ("cpu.cfs_period_us", "100000"),
                ("cpu.cfs_quota_us", "-1"),
                ("cpuset.cpus", "0-1"),
            ],
        );
        check(r#"{"pids": {"limit": 7}}"#, &[("pids.max", "7")]);
        check(r#"{"pids": {"limit": -1}}"#, &[("pids.max", "max")]);
        check(
            r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
                "network": {"classID": 9, "priorities": [{"name": "eth0", "priority": 5}]}}"#,
            &[
                ("hugetlb.2MB.limit_in_bytes", "4194304"),
                ("net_cls.classid", "9"),
                ("net_prio.ifpriomap", "eth0 5"),
            ],
        );
        check(
            r#"{"blockIO": {"weight": 100, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]}}"#,
            &[("blkio.weight", "100"), ("blkio.throttle.read_bps_device", "8:0 600")],
        );
        check(r#"{"rdma": {"mlx5_1": {"hcaHandles": 3}}}"#, &[("rdma.max", "mlx5_1 hca_handle=3")]);
    }

    #[test]
    fn what_is_for_v2_is_refused() {
        let resources = serde_json::from_str(r#"{"unified": {"memory.high": "1"}}"#).unwrap();
        assert!(settings(&resources).unwrap_err().to_string().contains("memory.high"));
    }
}
