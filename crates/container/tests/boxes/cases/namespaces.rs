//! The namespaces of a box: its own, a pod's, or the host's.

use crate::case::{Case, refused, shows};

pub const CASES: &[Case] = &[
    shows(
        "namespaces",
        "{}",
        &[
            ("namespace mnt", "own"),
            ("namespace pid", "own"),
            ("namespace net", "own"),
            ("namespace ipc", "own"),
            ("namespace uts", "own"),
            ("namespace cgroup", "own"),
            ("namespace user", "host's"),
            ("namespace time", "host's"),
            ("hostname", "in-the-box"),
            ("loopback", "up"),
        ],
    ),
    shows(
        "namespaces-of-the-host",
        r#"{"hostname": null, "linux": {"namespaces": [{"type": "mount"}]}}"#,
        &[
            ("namespace mnt", "own"),
            ("namespace pid", "host's"),
            ("namespace net", "host's"),
            ("namespace ipc", "host's"),
            ("namespace uts", "host's"),
            ("namespace cgroup", "host's"),
            ("mounts", "/ /dev"),
        ],
    ),
    shows(
        "namespaces-of-a-pod",
        r#"{"hostname": null, "linux": {"namespaces": [{"type": "mount"}, {"type": "network", "path": "@POD/net"},
            {"type": "ipc", "path": "@POD/ipc"}, {"type": "uts", "path": "@POD/uts"}, {"type": "pid"}]}}"#,
        &[
            ("namespace net", "pod's"),
            ("namespace ipc", "pod's"),
            ("namespace uts", "pod's"),
            ("namespace pid", "own"),
            ("loopback", "down"),
            ("descriptors", "/dev/null /dev/null /dev/null socket"),
        ],
    ),
    shows(
        "namespace-of-a-pods-processes",
        r#"{"linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "pid", "path": "@POD/pid"}]}}"#,
        &[
            ("namespace pid", "pod's"),
            ("namespace uts", "own"),
            ("cgroup", ""),
            ("mounts", "/ /dev"),
            ("descriptors", "/dev/null /dev/null /dev/null socket"),
        ],
    ),
    shows(
        "users-of-its-own",
        r#"{"linux": {"namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "network"}],
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}}"#,
        &[
            ("namespace user", "own"),
            ("descriptors", "/dev/null /dev/null /dev/null socket"),
            ("file uid_map", "0 100000 65536"),
            ("file gid_map", "0 100000 65536"),
            ("status Uid", "101000 101000 101000 101000"),
            ("status Gid", "102000 102000 102000 102000"),
            ("status CapEff", "0000000000000000"),
            ("status CapBnd", "0000000000000000"),
            ("mounts", "/ /dev /dev/null /dev/random /dev/urandom /dev/zero"),
            ("node /dev/null", "character 1:3 666"),
            ("try write /dev/null", "ok"),
            ("try read /node", "EACCES"),
        ],
    ),
    shows("hostname-of-the-spec", r#"{"hostname": "another"}"#, &[("hostname", "another")]),
    shows(
        "sysctl",
        r#"{"linux": {"sysctl": {"net.ipv4.ip_default_ttl": "77"}}}"#,
        &[("descriptors", "/dev/null /dev/null /dev/null socket"), ("sysctl net.ipv4.ip_default_ttl", "77")],
    ),
    refused(
        "sysctl-of-the-host",
        r#"{"linux": {"sysctl": {"kernel.hostname": "x"}}}"#,
        "cannot set the sysctl kernel.hostname: it is the host's",
    ),
    refused(
        "sysctl-of-the-hosts-network",
        r#"{"hostname": null, "linux": {"namespaces": [{"type": "mount"}], "sysctl": {"net.ipv4.ip_default_ttl": "77"}}}"#,
        "cannot set the sysctl net.ipv4.ip_default_ttl: it is the host's",
    ),
    refused(
        "hostname-of-the-host",
        r#"{"linux": {"namespaces": [{"type": "mount"}]}}"#,
        r#"cannot set the host name to "in-the-box": the container has the host's"#,
    ),
    refused(
        "mounts-of-the-host",
        r#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "uts"}]}}"#,
        "the spec has no mount namespace of its own",
    ),
    refused(
        "namespace-that-is-not-there",
        r#"{"linux": {"namespaces": [{"type": "mount"}, {"type": "network", "path": "/nowhere"}]}}"#,
        "cannot open the namespace /nowhere",
    ),
    refused(
        "namespace-of-another-kind",
        r#"{"hostname": null, "linux": {"namespaces": [{"type": "mount"}, {"type": "network", "path": "@POD/uts"}]}}"#,
        "cannot enter the namespace",
    ),
    refused(
        "users-without-maps",
        r#"{"linux": {"namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "uts"}]}}"#,
        "a new user namespace needs both uidMappings and gidMappings",
    ),
];
