//! `io.containerd.cgroups.v1.Metrics`: times in nanoseconds, memory in bytes.

use container::cgroup::{CgroupDirs, Keyed};
use containerd_shim_protos::cgroups::metrics::*;
use containerd_shim_protos::protobuf::MessageField;

use super::text::{device, page_sizes, rdma};

/// Everything that the controllers of v1 count.
pub fn metrics(cgroup: &CgroupDirs, guest_ooms: u64) -> Metrics {
    Metrics {
        hugetlb: page_sizes(cgroup, ".usage_in_bytes").iter().map(|size| hugetlb(cgroup, size)).collect(),
        pids: MessageField::some(PidsStat {
            current: cgroup.number("pids", "pids.current").unwrap_or(0),
            // containerd writes 0 for no limit.
            limit: cgroup.number("pids", "pids.max").filter(|limit| *limit < u64::MAX).unwrap_or(0),
            ..PidsStat::default()
        }),
        cpu: MessageField::some(cpu(cgroup)),
        memory: MessageField::some(memory(cgroup)),
        blkio: MessageField::some(blkio(cgroup)),
        rdma: MessageField::some(RdmaStat {
            current: rdma_entries(cgroup, "rdma.current"),
            limit: rdma_entries(cgroup, "rdma.max"),
            ..RdmaStat::default()
        }),
        memory_oom_control: MessageField::some(oom(
            &cgroup.keyed("memory", "memory.oom_control"),
            guest_ooms,
        )),
        ..Metrics::default()
    }
}

fn cpu(cgroup: &CgroupDirs) -> CPUStat {
    let throttled = cgroup.keyed("cpu", "cpu.stat");
    let used = cgroup.keyed("cpuacct", "cpuacct.stat");
    let per_cpu = cgroup.text("cpuacct", "cpuacct.usage_percpu").unwrap_or_default();
    CPUStat {
        usage: MessageField::some(CPUUsage {
            total: cgroup.number("cpuacct", "cpuacct.usage").unwrap_or(0),
            kernel: nanoseconds(used.get("system")),
            user: nanoseconds(used.get("user")),
            per_cpu: per_cpu.split_whitespace().filter_map(|time| time.parse().ok()).collect(),
            ..CPUUsage::default()
        }),
        throttling: MessageField::some(Throttle {
            periods: throttled.get("nr_periods"),
            throttled_periods: throttled.get("nr_throttled"),
            throttled_time: throttled.get("throttled_time"),
            ..Throttle::default()
        }),
        ..CPUStat::default()
    }
}

/// Converts USER_HZ clock ticks, which are 100 per second on every architecture that Linux supports today.
fn nanoseconds(ticks: u64) -> u64 {
    const TICK: u64 = 1_000_000_000 / 100;
    ticks.saturating_mul(TICK)
}

fn memory(cgroup: &CgroupDirs) -> MemoryStat {
    let stat = cgroup.keyed("memory", "memory.stat");
    MemoryStat {
        cache: stat.get("cache"),
        rss: stat.get("rss"),
        rss_huge: stat.get("rss_huge"),
        mapped_file: stat.get("mapped_file"),
        dirty: stat.get("dirty"),
        writeback: stat.get("writeback"),
        pg_pg_in: stat.get("pgpgin"),
        pg_pg_out: stat.get("pgpgout"),
        pg_fault: stat.get("pgfault"),
        pg_maj_fault: stat.get("pgmajfault"),
        inactive_anon: stat.get("inactive_anon"),
        active_anon: stat.get("active_anon"),
        inactive_file: stat.get("inactive_file"),
        active_file: stat.get("active_file"),
        unevictable: stat.get("unevictable"),
        hierarchical_memory_limit: stat.get("hierarchical_memory_limit"),
        hierarchical_swap_limit: stat.get("hierarchical_memsw_limit"),
        total_cache: stat.get("total_cache"),
        total_rss: stat.get("total_rss"),
        total_rss_huge: stat.get("total_rss_huge"),
        total_mapped_file: stat.get("total_mapped_file"),
        total_dirty: stat.get("total_dirty"),
        total_writeback: stat.get("total_writeback"),
        total_pg_pg_in: stat.get("total_pgpgin"),
        total_pg_pg_out: stat.get("total_pgpgout"),
        total_pg_fault: stat.get("total_pgfault"),
        total_pg_maj_fault: stat.get("total_pgmajfault"),
        total_inactive_anon: stat.get("total_inactive_anon"),
        total_active_anon: stat.get("total_active_anon"),
        total_inactive_file: stat.get("total_inactive_file"),
        total_active_file: stat.get("total_active_file"),
        total_unevictable: stat.get("total_unevictable"),
        usage: entry(cgroup, "memory"),
        swap: entry(cgroup, "memory.memsw"),
        kernel: entry(cgroup, "memory.kmem"),
        kernel_tcp: entry(cgroup, "memory.kmem.tcp"),
        ..MemoryStat::default()
    }
}

/// One kind of memory; `None` if the kernel has no counters for it.
fn entry(cgroup: &CgroupDirs, kind: &str) -> MessageField<MemoryEntry> {
    let number = |what: &str| cgroup.number("memory", &format!("{kind}.{what}"));
    let Some(usage) = number("usage_in_bytes") else { return MessageField::none() };
    MessageField::some(MemoryEntry {
        limit: number("limit_in_bytes").unwrap_or(0),
        usage,
        max: number("max_usage_in_bytes").unwrap_or(0),
        failcnt: number("failcnt").unwrap_or(0),
        ..MemoryEntry::default()
    })
}

fn oom(control: &Keyed, guest_ooms: u64) -> MemoryOomControl {
    MemoryOomControl {
        oom_kill_disable: control.get("oom_kill_disable"),
        under_oom: control.get("under_oom"),
        oom_kill: control.get("oom_kill").saturating_add(guest_ooms),
        ..MemoryOomControl::default()
    }
}

fn hugetlb(cgroup: &CgroupDirs, size: &str) -> HugetlbStat {
    let number = |what: &str| cgroup.number("hugetlb", &format!("hugetlb.{size}.{what}")).unwrap_or(0);
    HugetlbStat {
        usage: number("usage_in_bytes"),
        max: number("max_usage_in_bytes"),
        failcnt: number("failcnt"),
        pagesize: size.to_owned(),
        ..HugetlbStat::default()
    }
}

fn blkio(cgroup: &CgroupDirs) -> BlkIOStat {
    // The throttling layer counts with every I/O scheduler.
    let entries = |file: &str| {
        let recursive = cgroup.text("blkio", &format!("blkio.throttle.{file}_recursive"));
        let text = recursive.or_else(|| cgroup.text("blkio", &format!("blkio.throttle.{file}")));
        text.unwrap_or_default().lines().filter_map(blkio_entry).collect()
    };
    BlkIOStat {
        io_service_bytes_recursive: entries("io_service_bytes"),
        io_serviced_recursive: entries("io_serviced"),
        ..BlkIOStat::default()
    }
}

/// Parses `8:0 Read 4096`; the last line, a total, has no device.
fn blkio_entry(line: &str) -> Option<BlkIOEntry> {
    let mut words = line.split_whitespace();
    let (number, op, value) = (words.next()?, words.next()?, words.next()?);
    let (major, minor) = device(number)?;
    Some(BlkIOEntry {
        op: op.to_owned(),
        device: device_name(number),
        major,
        minor,
        value: value.parse().ok()?,
        ..BlkIOEntry::default()
    })
}

/// The device's path below /dev, for people; empty if the device is gone.
fn device_name(number: &str) -> String {
    let event = std::fs::read_to_string(format!("/sys/dev/block/{number}/uevent")).unwrap_or_default();
    let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(|name| format!("/dev/{name}")).unwrap_or_default()
}

fn rdma_entries(cgroup: &CgroupDirs, file: &str) -> Vec<RdmaEntry> {
    let entry = |(device, [hca_handles, hca_objects]): (String, [u32; 2])| RdmaEntry {
        device,
        hca_handles,
        hca_objects,
        ..RdmaEntry::default()
    };
    cgroup.text("rdma", file).unwrap_or_default().lines().filter_map(rdma).map(entry).collect()
}
