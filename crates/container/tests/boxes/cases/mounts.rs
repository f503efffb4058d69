//! The file systems of a box: its root, its /dev, its volumes, and nothing else.

use crate::case::{Case, refused, shows};

pub const CASES: &[Case] = &[
    shows(
        "root",
        "{}",
        &[
            ("mounts", "/ /dev"),
            ("kind /", "overlay"),
            ("options /", "rw,nodev"),
            ("list /", "app.wasm data dev escape etc link node"),
        ],
    ),
    shows(
        "root-writable",
        r#"{"process": {"user": {"uid": 0, "gid": 0}}}"#,
        &[("try make /new", "ok"), ("try write /data/file", "ok"), ("try write /link/file", "ok")],
    ),
    shows(
        "root-read-only",
        r#"{"root": {"readonly": true}, "process": {"user": {"uid": 0, "gid": 0}},
            "mounts": [{"destination": "/volume", "source": "volume", "options": ["rbind"]}]}"#,
        &[
            ("options /", "ro,nodev"),
            ("options /volume", "rw,nodev"),
            ("try make /new", "EROFS"),
            ("try make /volume/new", "ok"),
        ],
    ),
    shows(
        "root-old-gone",
        "{}",
        &[
            ("try read /escape/file", "ENOENT"),
            ("try read /../../outside/file", "ENOENT"),
            ("try read /proc/self", "ENOENT"),
        ],
    ),
    shows(
        "root-propagation",
        r#"{"linux": {"rootfsPropagation": "rshared"}}"#,
        &[("propagation /", "shared"), ("propagation /dev", "private")],
    ),
    refused(
        "root-propagation-none",
        r#"{"linux": {"rootfsPropagation": "sideways"}}"#,
        r#"the spec's rootfsPropagation is "sideways", which is none"#,
    ),
    shows(
        "devices",
        "{}",
        &[
            ("kind /dev", "tmpfs"),
            ("options /dev", "rw,nosuid,noexec"),
            ("list /dev", "null random urandom zero"),
            ("node /dev/null", "character 1:3 666"),
            ("node /dev/zero", "character 1:5 666"),
            ("node /dev/random", "character 1:8 666"),
            ("node /dev/urandom", "character 1:9 666"),
            ("try write /dev/null", "ok"),
            ("try read /dev/urandom", "ok"),
            ("try make /dev/new", "EACCES"),
        ],
    ),
    shows("device-of-image", "{}", &[("node /node", "character 1:3 666"), ("try read /node", "EACCES")]),
    shows(
        "device-of-volume",
        r#"{"mounts": [{"destination": "/volume", "source": "volume", "options": ["rbind"]}]}"#,
        &[("node /volume/node", "character 1:3 666"), ("try read /volume/node", "EACCES")],
    ),
    shows(
        "device-shown",
        r#"{"mounts": [{"destination": "/dev/full", "source": "/dev/full", "options": ["bind"]}],
            "linux": {"resources": {"devices": [{"allow": true, "type": "c", "major": 1, "minor": 7, "access": "r"}]}}}"#,
        &[
            ("descriptors", "/dev/null /dev/null /dev/null socket"),
            ("list /dev", "full null random urandom zero"),
            ("node /dev/full", "character 1:7 666"),
            ("try read /dev/full", "ok"),
            ("try write /dev/full", "EPERM"),
        ],
    ),
    shows(
        "device-shown-and-not-allowed",
        r#"{"mounts": [{"destination": "/dev/full", "source": "/dev/full", "options": ["bind"]}]}"#,
        &[("try read /dev/full", "EPERM"), ("try write /dev/full", "EPERM"), ("try read /dev/zero", "ok")],
    ),
    shows(
        "no-kernel-file-systems",
        r#"{"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}]}"#,
        &[
            ("mounts", "/ /dev"),
            ("node /proc", "absent"),
            ("node /sys", "absent"),
            ("list /dev", "null random urandom zero"),
        ],
    ),
    shows(
        "volume",
        r#"{"mounts": [{"destination": "/new/place", "source": "volume", "options": ["bind"]}]}"#,
        &[
            ("mounts", "/ /dev /new/place"),
            ("options /new/place", "rw,nodev"),
            ("propagation /new/place", "private"),
            ("list /new/place/inner", ""),
            ("try text /new/place/file", "of the volume"),
        ],
    ),
    shows(
        "volume-with-what-is-in-it",
        r#"{"mounts": [{"destination": "/volume", "source": "volume", "options": ["rbind", "ro"]}]}"#,
        &[
            ("mounts", "/ /dev /volume /volume/inner"),
            ("options /volume", "ro,nodev"),
            ("options /volume/inner", "rw,nodev"),
        ],
    ),
    shows(
        "volume-options",
        r#"{"mounts": [{"destination": "/volume", "source": "volume",
            "options": ["rbind", "rro", "nosuid", "noexec", "nodev"]}]}"#,
        &[("options /volume", "ro,nosuid,nodev,noexec"), ("options /volume/inner", "ro,nodev")],
    ),
    shows(
        "volume-of-memory",
        r#"{"mounts": [{"destination": "/memory", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "size=64k", "mode=1777"]}]}"#,
        &[("kind /memory", "tmpfs"), ("options /memory", "rw,nosuid,nodev"), ("try make /memory/new", "ok")],
    ),
    shows(
        "volume-propagation",
        r#"{"mounts": [{"destination": "/a", "source": "volume", "options": ["bind", "rshared"]},
            {"destination": "/b", "source": "volume", "options": ["bind", "private"]}]}"#,
        &[("propagation /a", "shared"), ("propagation /b", "private")],
    ),
    shows(
        "volume-of-a-file",
        r#"{"process": {"user": {"uid": 0, "gid": 0}}, "mounts": [{"destination": "/etc/new", "source": "volume/file", "options": ["bind", "ro"]}]}"#,
        &[
            ("options /etc/new", "ro,nodev"),
            ("try text /etc/new", "of the volume"),
            ("try write /etc/new", "EROFS"),
        ],
    ),
    shows(
        "volume-by-a-link",
        r#"{"mounts": [{"destination": "/link/below", "source": "volume", "options": ["bind"]}]}"#,
        &[("mounts", "/ /data/below /dev")],
    ),
    shows(
        "volume-over-volume",
        r#"{"mounts": [{"destination": "/v", "source": "image", "options": ["bind"]},
            {"destination": "/v", "source": "volume", "options": ["bind"]}]}"#,
        &[("mounts", "/ /dev /v /v"), ("try text /v/file", "of the volume")],
    ),
    refused(
        "volume-out-of-the-root",
        r#"{"mounts": [{"destination": "/escape/new", "source": "volume", "options": ["bind"]}]}"#,
        "cannot mount /escape/new",
    ),
    refused(
        "volume-over-the-root",
        r#"{"mounts": [{"destination": "/data/..", "source": "volume", "options": ["bind"]}]}"#,
        "nothing can be mounted over the root",
    ),
    refused(
        "volume-that-is-not-there",
        r#"{"mounts": [{"destination": "/volume", "source": "nowhere", "options": ["bind"]}]}"#,
        "nowhere at /volume: No such file or directory",
    ),
    refused(
        "volume-of-another-kind",
        r#"{"mounts": [{"destination": "/data", "source": "volume/file", "options": ["bind"]}]}"#,
        "not a directory: this mounts a file on a directory of the image",
    ),
    refused(
        "volume-of-no-kind",
        r#"{"mounts": [{"destination": "/volume", "source": "volume"}]}"#,
        "the mount has neither a type nor the option bind",
    ),
];
