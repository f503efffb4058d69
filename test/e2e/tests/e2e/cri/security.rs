//! Restrictions: users, capabilities, seccomp profiles, read-only file systems.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::kernel;
use e2e::runner::Scenario;
use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{self, Int64Value};
use nix::mount::{MsFlags, mount};

use super::both;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("user-and-groups", user_and_groups));
    scenarios.extend(both("no-capabilities", no_capabilities));
    scenarios.extend(both("seccomp-profiles", seccomp_profiles));
    scenarios.extend(both("read-only-mount", read_only_mount));
    scenarios.extend(both("recursive-read-only-mount", recursive));
    scenarios.push(cri::any("cri-native-read-only-root", |cri| read_only_root(cri, Guest::Native)));
    scenarios.push(cri::ours("cri-native-cgroups-read-only", cgroups));
    scenarios.push(cri::ours("cri-wasm-read-only-root", |cri| read_only_root(cri, Guest::Wasm)));
    scenarios
}

/// runAsUser, runAsGroup and supplementalGroups.
fn user_and_groups(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("user").run()?;
    let plan = pod.container("one").security(|security| {
        security.run_as_user = Some(Int64Value { value: 1234 });
        security.run_as_group = Some(Int64Value { value: 5678 });
        security.supplemental_groups = vec![77, 88];
    });
    let container = plan.ready(guest)?;
    let pid = container.pid()?;
    is("the user", &kernel::status(pid, "Uid")?, "1234 1234 1234 1234")?;
    is("the group", &kernel::status(pid, "Gid")?, "5678 5678 5678 5678")?;
    let groups = kernel::status(pid, "Groups")?;
    let groups: Vec<&str> = groups.split(' ').collect();
    ensure!(["77", "88"].iter().all(|group| groups.contains(group)), "the groups are {groups:?}");
    container.stop(5)
}

/// capabilities.drop: [ALL], and allowPrivilegeEscalation: false.
fn no_capabilities(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("caps").run()?;
    let plan = pod.container("one").security(|security| {
        security.no_new_privs = true;
        security.capabilities =
            Some(v1::Capability { drop_capabilities: vec!["ALL".into()], ..Default::default() });
    });
    let container = plan.ready(guest)?;
    let pid = container.pid()?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        is(set, &kernel::status(pid, set)?, "0000000000000000")?;
    }
    is("no_new_privs", &kernel::status(pid, "NoNewPrivs")?, "1")?;
    container.stop(5)
}

/// Root in a pod can create no cgroup in any hierarchy, and change no limit.
fn cgroups(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("cgroups").run()?;
    let script =
        "cd /sys/fs/cgroup; for d in . */; do busybox mkdir $d/made 2>/dev/null && echo made $d; done
        for f in */memory.limit_in_bytes */pids.max */cgroup.procs memory.max pids.max cgroup.procs; do
          [ -e $f ] && (echo 1 >$f) 2>/dev/null && echo wrote $f
        done; true";
    let output = pod.container("one").script(script).finish()?.ok()?;
    ensure!(output.stdout.is_empty(), "it changed {}", output.stdout);
    Ok(())
}

/// seccompProfile: RuntimeDefault, and a profile of the node that forbids creating directories.
fn seccomp_profiles(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    const NO_MKDIR: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;
    let volume = dir(cri, &format!("profile-{}", guest.word()))?;
    fs::write(volume.join("note"), "the guest renames it")?;
    let local = cri.daemon.scope.dir.join("tmp/no-mkdir.json");
    fs::write(&local, NO_MKDIR)?;
    let profile = |kind: ProfileType, of: &Path| v1::SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: of.display().to_string(),
    };
    let both = [
        ("default", profile(ProfileType::RuntimeDefault, Path::new("")), 0),
        ("own", profile(ProfileType::Localhost, &local), 1),
    ];
    let pod = cri.pod("profiles").run()?;
    for (name, profile, code) in both {
        let plan = pod.container(name).mount(&volume, "/volume", |_| ());
        let plan = plan.security(|security| security.seccomp = Some(profile));
        let plan = match guest {
            Guest::Wasm => plan.args(&["/cases/directories.wasm"]),
            Guest::Native => plan.script(&format!("mkdir /volume/{name}")),
        };
        plan.finish()?.exits(code).with_context(|| format!("under the profile {name}"))?;
    }
    Ok(())
}

fn read_only_root(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("root").run()?;
    let plan = pod.container("one").security(|security| security.readonly_rootfs = true);
    match guest {
        Guest::Wasm => plan.args(&["/cases/rootfs-readonly.wasm"]).finish()?.ok()?,
        Guest::Native => plan.script("touch /new").finish()?.exits(1)?.complains("Read-only file system")?,
    };
    Ok(())
}

fn read_only_mount(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let dir = dir(cri, &format!("ro-{}", guest.word()))?;
    let pod = cri.pod("mounts").run()?;
    let plan = pod.container("writes").args(guest.make()).mount(&dir, "/outbox", |_| ());
    plan.finish()?.ok()?;
    fs::remove_file(dir.join("made")).context("the writable mount took no file")?;
    let plan =
        pod.container("reads").args(guest.make()).mount(&dir, "/outbox", |mount| mount.readonly = true);
    let output = plan.finish()?;
    ensure!(output.code != 0 && !dir.join("made").exists(), "a read-only mount took a file: {output:?}");
    Ok(())
}

/// recursiveReadOnly: mounts below are read-only too, if containerd reports the runtime's features.
fn recursive(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let outer = dir(cri, &format!("rro-{}", guest.word()))?;
    let inner = outer.join("inner");
    fs::create_dir_all(&inner)?;
    let tmpfs = Some("tmpfs");
    mount(tmpfs, &inner, tmpfs, MsFlags::empty(), None::<&str>)?;
    let checked = recursive_of(cri, guest, &outer);
    nix::mount::umount(&inner)?;
    checked
}

fn recursive_of(cri: &Cri<'_>, guest: Guest, outer: &Path) -> Result<()> {
    let pod = cri.pod("mounts").run()?;
    let plan = |name: &str, recursive: bool| {
        pod.container(name).args(guest.polite()).mount(outer, "/outbox", |mount| {
            mount.readonly = true;
            mount.recursive_read_only = recursive;
        })
    };
    let plain = plan("plain", false).start()?;
    plain.says("ready")?;
    ensure!(
        kernel::mount_options(plain.pid()?, Path::new("/outbox"))?.contains(&"ro".into()),
        "not read-only"
    );
    ensure!(
        !kernel::mount_options(plain.pid()?, Path::new("/outbox/inner"))?.contains(&"ro".into()),
        "a mount below is read-only without recursiveReadOnly"
    );
    plain.stop(5)?;
    let Some(features) = cri.features()? else {
        // The kubelet does not use features that containerd does not report.
        return Ok(());
    };
    ensure!(features.recursive_read_only_mounts, "recursive read-only mounts are not reported: {features:?}");
    let container = plan("recursive", true).start()?;
    container.says("ready")?;
    for path in ["/outbox", "/outbox/inner"] {
        let options = kernel::mount_options(container.pid()?, Path::new(path))?;
        ensure!(options.contains(&"ro".into()), "{path} is {options:?}");
    }
    container.stop(5)
}

fn dir(cri: &Cri<'_>, name: &str) -> Result<PathBuf> {
    let dir = cri.daemon.scope.dir.join("tmp").join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn is(what: &str, shown: &str, expected: &str) -> Result<()> {
    ensure!(shown == expected, "{what} is {shown:?} instead of {expected:?}");
    Ok(())
}
