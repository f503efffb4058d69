//! The seccomp profile of a spec: what a client forbids the processes of a container, whatever they are.

use anyhow::{anyhow, ensure};
use libcontainer::seccomp::{initialize_seccomp, is_notify};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSyscall, LinuxSyscallBuilder};
use workload::Workload;

use crate::mounts::sentence;
use crate::seccomp;

/// By these a guest's own filter comes after the profile; it allows neither.
const TO_NARROW: [&str; 2] = ["prctl", "seccomp"];

/// Narrows the process that becomes a Linux program to its spec's profile, if there is one.
///
/// # Errors
/// Why the kernel does not take it.
pub(crate) fn narrow_program(workload: &Workload) -> anyhow::Result<()> {
    of(workload).map_or(Ok(()), install)
}

/// Narrows a guest's process to its spec's profile, if there is one, so that its own filter can follow.
///
/// # Errors
/// As [`narrow_program`].
pub(crate) fn narrow_guest(workload: &Workload) -> anyhow::Result<()> {
    of(workload).map_or(Ok(()), |profile| install(&for_guest(profile)?))
}

fn of(workload: &Workload) -> Option<&LinuxSeccomp> {
    workload.spec.linux().as_ref()?.seccomp().as_ref()
}

fn install(profile: &LinuxSeccomp) -> anyhow::Result<()> {
    ensure!(
        !is_notify(profile),
        "cannot follow a seccomp profile that notifies a listener (SCMP_ACT_NOTIFY): this shim has none"
    );
    initialize_seccomp(profile)
        .map(drop)
        .map_err(|error| anyhow!("cannot install the seccomp profile: {}", sentence(&error)))
}

/// The profile with room for the filter that comes after it and takes that room away. Where it would end a thread it
/// ends the process, for an engine goes on badly with a thread less. What it allows that the guest's own filter refuses,
/// as other machines' calls, is left out: libseccomp takes a millisecond for all that clients usually allow.
fn for_guest(profile: &LinuxSeccomp) -> anyhow::Result<LinuxSeccomp> {
    let mut calls = Vec::new();
    for call in profile.syscalls().iter().flatten() {
        let mut call = call.clone();
        let allows = call.action() == LinuxSeccompAction::ScmpActAllow;
        let counts =
            |name: &&String| !TO_NARROW.contains(&name.as_str()) && (!allows || seccomp::knows(name));
        let names = call.names().iter().filter(counts).cloned();
        call.set_names(names.collect());
        call.set_action(of_process(call.action()));
        calls.push(call);
    }
    calls.retain(|call| !call.names().is_empty());
    calls.push(allowed(&TO_NARROW)?);
    let mut profile = profile.clone();
    profile
        .set_default_action(of_process(profile.default_action()))
        .set_architectures(None)
        .set_syscalls(Some(calls));
    Ok(profile)
}

fn allowed(names: &[&str]) -> anyhow::Result<LinuxSyscall> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Ok(LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow).build()?)
}

fn of_process(action: LinuxSeccompAction) -> LinuxSeccompAction {
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            LinuxSeccompAction::ScmpActKillProcess
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str) -> LinuxSeccomp {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_guest_s_own_filter_finds_room_and_nothing_else_is_allowed() {
        let asked = profile(
            r#"{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
                {"names": ["read", "execve", "seccomp"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["prctl"], "action": "SCMP_ACT_KILL_THREAD"},
                {"names": ["mkdirat", "ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#,
        );
        let expected = profile(
            r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["mkdirat", "ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
                {"names": ["prctl", "seccomp"], "action": "SCMP_ACT_ALLOW"}]}"#,
        );
        assert_eq!(for_guest(&asked).unwrap(), expected);
    }

    #[test]
    fn a_listener_is_refused_in_a_sentence() {
        let asked = profile(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        );
        assert!(install(&asked).unwrap_err().to_string().contains("SCMP_ACT_NOTIFY"));
    }
}
