//! The limits of a box: its cgroup, and its process's rlimits.

use crate::case::{Case, refused, shows};

pub const CASES: &[Case] = &[
    shows("cgroup", "{}", &[("cgroup", "")]),
    shows(
        "cgroup-devices",
        "{}",
        &[("cgroup-file devices devices.list -", "c 1:3 rwm c 1:5 rwm c 1:8 rwm c 1:9 rwm")],
    ),
    shows(
        "cgroup-limits",
        r#"{"linux": {"resources": {"memory": {"limit": 33554432}, "pids": {"limit": 5}, "cpu": {"quota": 20000, "period": 100000}}}}"#,
        &[
            ("cgroup-file memory memory.limit_in_bytes memory.max", "33554432"),
            ("cgroup-file pids pids.max pids.max", "5"),
            ("cgroup-file cpu cpu.cfs_quota_us -", "20000"),
            ("cgroup-file cpu - cpu.max", "20000 100000"),
            ("cgroup", ""),
        ],
    ),
    refused(
        "cgroup-that-is-everybodys",
        r#"{"linux": {"cgroupsPath": "/"}}"#,
        "is no cgroup that a container can have: it needs one of its own",
    ),
    refused(
        "cgroup-limit-in-another-file",
        r#"{"linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB/../../x", "limit": 1}]}}}"#,
        "that is no file of a cgroup",
    ),
    shows(
        "limits",
        r#"{"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_STACK", "soft": 1048576, "hard": 2097152}]}}"#,
        &[
            ("limit Max open files", "64 128"),
            ("limit Max core file size", "0 0"),
            ("limit Max stack size", "1048576 2097152"),
        ],
    ),
    refused(
        "limits-upside-down",
        r#"{"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 128, "hard": 64}]}}"#,
        "cannot set the limit RlimitNofile to 128 (soft) and 64 (hard)",
    ),
];
