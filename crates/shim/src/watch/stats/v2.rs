//! `io.containerd.cgroups.v2.Metrics`: times in microseconds, memory in bytes.

use container::cgroup::{CgroupDirs, number};
use containerd_shim_protos::cgroups_v2::metrics::*;
use containerd_shim_protos::protobuf::MessageField;

use super::text::{device, page_sizes, rdma};

/// Everything that the controllers of v2 count.
pub fn metrics(cgroup: &CgroupDirs, guest_ooms: u64) -> Metrics {
    let events = cgroup.keyed("memory", "memory.events");
    Metrics {
        pids: MessageField::some(PidsStat {
            current: cgroup.number("pids", "pids.current").unwrap_or(0),
            limit: cgroup.number("pids", "pids.max").unwrap_or(0),
            ..PidsStat::default()
        }),
        cpu: MessageField::some(cpu(cgroup)),
        memory: MessageField::some(memory(cgroup)),
        rdma: MessageField::some(RdmaStat {
            current: rdma_entries(cgroup, "rdma.current"),
            limit: rdma_entries(cgroup, "rdma.max"),
            ..RdmaStat::default()
        }),
        io: MessageField::some(IOStat {
            usage: cgroup.text("io", "io.stat").unwrap_or_default().lines().filter_map(io).collect(),
            psi: pressure(cgroup, "io"),
            ..IOStat::default()
        }),
        hugetlb: page_sizes(cgroup, ".current").iter().map(|size| hugetlb(cgroup, size)).collect(),
        memory_events: MessageField::some(MemoryEvents {
            low: events.get("low"),
            high: events.get("high"),
            max: events.get("max"),
            oom: events.get("oom").saturating_add(guest_ooms),
            oom_kill: events.get("oom_kill").saturating_add(guest_ooms),
            oom_group_kill: events.get("oom_group_kill"),
            ..MemoryEvents::default()
        }),
        ..Metrics::default()
    }
}

fn cpu(cgroup: &CgroupDirs) -> CPUStat {
    let stat = cgroup.keyed("cpu", "cpu.stat");
    CPUStat {
        usage_usec: stat.get("usage_usec"),
        user_usec: stat.get("user_usec"),
        system_usec: stat.get("system_usec"),
        nr_periods: stat.get("nr_periods"),
        nr_throttled: stat.get("nr_throttled"),
        throttled_usec: stat.get("throttled_usec"),
        nr_bursts: stat.get("nr_bursts"),
        burst_usec: stat.get("burst_usec"),
        psi: pressure(cgroup, "cpu"),
        ..CPUStat::default()
    }
}

fn memory(cgroup: &CgroupDirs) -> MemoryStat {
    let stat = cgroup.keyed("memory", "memory.stat");
    // Newer kernels count anonymous memory and files separately.
    let both = |name: &str| {
        let (anon, file) = (stat.get(&format!("{name}_anon")), stat.get(&format!("{name}_file")));
        stat.get(name).max(anon.saturating_add(file))
    };
    let own = |file: &str| cgroup.number("memory", &format!("memory.{file}")).unwrap_or(0);
    MemoryStat {
        anon: stat.get("anon"),
        file: stat.get("file"),
        kernel_stack: stat.get("kernel_stack"),
        slab: stat.get("slab"),
        sock: stat.get("sock"),
        shmem: stat.get("shmem"),
        file_mapped: stat.get("file_mapped"),
        file_dirty: stat.get("file_dirty"),
        file_writeback: stat.get("file_writeback"),
        anon_thp: stat.get("anon_thp"),
        inactive_anon: stat.get("inactive_anon"),
        active_anon: stat.get("active_anon"),
        inactive_file: stat.get("inactive_file"),
        active_file: stat.get("active_file"),
        unevictable: stat.get("unevictable"),
        slab_reclaimable: stat.get("slab_reclaimable"),
        slab_unreclaimable: stat.get("slab_unreclaimable"),
        pgfault: stat.get("pgfault"),
        pgmajfault: stat.get("pgmajfault"),
        workingset_refault: both("workingset_refault"),
        workingset_activate: both("workingset_activate"),
        workingset_nodereclaim: stat.get("workingset_nodereclaim"),
        pgrefill: stat.get("pgrefill"),
        pgscan: stat.get("pgscan"),
        pgsteal: stat.get("pgsteal"),
        pgactivate: stat.get("pgactivate"),
        pgdeactivate: stat.get("pgdeactivate"),
        pglazyfree: stat.get("pglazyfree"),
        pglazyfreed: stat.get("pglazyfreed"),
        thp_fault_alloc: stat.get("thp_fault_alloc"),
        thp_collapse_alloc: stat.get("thp_collapse_alloc"),
        usage: own("current"),
        usage_limit: own("max"),
        swap_usage: own("swap.current"),
        swap_limit: own("swap.max"),
        max_usage: own("peak"),
        swap_max_usage: own("swap.peak"),
        psi: pressure(cgroup, "memory"),
        ..MemoryStat::default()
    }
}

/// The pressure stall information of a controller; `None` if the kernel does not count it.
fn pressure(cgroup: &CgroupDirs, controller: &str) -> MessageField<PSIStats> {
    let Some(text) = cgroup.text(controller, &format!("{controller}.pressure")) else {
        return MessageField::none();
    };
    let line = |kind: &str| text.lines().find_map(|line| line.strip_prefix(kind)).map(psi);
    MessageField::some(PSIStats {
        some: MessageField::from_option(line("some ")),
        full: MessageField::from_option(line("full ")),
        ..PSIStats::default()
    })
}

/// Parses `avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn psi(line: &str) -> PSIData {
    let value = |name: &str| pair(line, name).and_then(|value| value.parse().ok()).unwrap_or(0.0);
    PSIData {
        avg10: value("avg10"),
        avg60: value("avg60"),
        avg300: value("avg300"),
        total: pair(line, "total").and_then(number).unwrap_or(0),
        ..PSIData::default()
    }
}

/// Parses `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn io(line: &str) -> Option<IOEntry> {
    let (major, minor) = device(line.split(' ').next()?)?;
    let value = |name: &str| pair(line, name).and_then(number).unwrap_or(0);
    Some(IOEntry {
        major,
        minor,
        rbytes: value("rbytes"),
        wbytes: value("wbytes"),
        rios: value("rios"),
        wios: value("wios"),
        ..IOEntry::default()
    })
}

/// The value of `NAME=VALUE` among words.
fn pair<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn hugetlb(cgroup: &CgroupDirs, size: &str) -> HugeTlbStat {
    let number = |what: &str| cgroup.number("hugetlb", &format!("hugetlb.{size}.{what}")).unwrap_or(0);
    HugeTlbStat {
        current: number("current"),
        max: number("max"),
        pagesize: size.to_owned(),
        failcnt: cgroup.keyed("hugetlb", &format!("hugetlb.{size}.events")).get("max"),
        ..HugeTlbStat::default()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_pairs() {
        let entry = io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0").unwrap();
        assert_eq!((entry.major, entry.minor, entry.rbytes, entry.wios), (8, 16, 1, 4));
        let psi = psi("avg10=1.50 avg60=0.00 avg300=0.25 total=77");
        assert_eq!((psi.avg10, psi.avg300, psi.total), (1.5, 0.25, 77));
    }
}
