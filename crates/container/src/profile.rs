//! Installs a spec's seccomp profile, for guests and Linux programs alike.

use anyhow::{anyhow, ensure};
use libcontainer::seccomp::{initialize_seccomp, is_notify};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator,
    LinuxSyscall, LinuxSyscallBuilder,
};
use workload::Workload;

use crate::seccomp;
use crate::sentence::sentence;

/// The calls that install the guest's own filter after the profile; that filter allows neither.
const TO_NARROW: [&str; 2] = ["prctl", "seccomp"];

/// Installs the spec's profile, if there is one, in a process that becomes a Linux program.
///
/// # Errors
/// Why the kernel rejects it.
pub(crate) fn narrow_program(workload: &Workload) -> anyhow::Result<()> {
    of(workload).map_or(Ok(()), install)
}

/// Installs the spec's profile, if there is one, in a guest's process, so that its own filter can follow.
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
    initialize_seccomp(&as_meant(profile)?)
        .map(drop)
        .map_err(|error| anyhow!("cannot install the seccomp profile: {}", sentence(&error)))
}

/// The profile as libcontainer needs it. libcontainer swaps the operands of a masked comparison, mask and datum: a
/// rule on some flags of a call, such as those for clone in the default profiles of clients, would check none.
///
/// # Errors
/// When it needs a listener.
pub(crate) fn as_meant(profile: &LinuxSeccomp) -> anyhow::Result<LinuxSeccomp> {
    ensure!(
        !is_notify(profile) && profile.default_action() != LinuxSeccompAction::ScmpActNotify,
        "cannot follow a seccomp profile that notifies a listener (SCMP_ACT_NOTIFY): this shim has none"
    );
    let turned = |arg: &LinuxSeccompArg| {
        if arg.op() != LinuxSeccompOperator::ScmpCmpMaskedEq {
            return Ok(*arg);
        }
        let (mask, datum) = (arg.value(), arg.value_two().unwrap_or_default());
        let turned = LinuxSeccompArgBuilder::default().index(arg.index()).op(arg.op());
        turned.value(datum).value_two(mask).build()
    };
    let mut calls = profile.syscalls().clone();
    for call in calls.iter_mut().flatten() {
        let args = call.args().as_ref().map(|args| args.iter().map(turned).collect::<Result<_, _>>());
        call.set_args(args.transpose()?);
    }
    let mut profile = profile.clone();
    profile.set_syscalls(calls);
    Ok(profile)
}

/// The profile with room for the guest's own filter, which then takes that room away. Actions that would kill a
/// thread kill the process: an engine does not cope with the loss of a thread. Calls that the profile allows and the
/// guest's own filter denies, such as those of other machines, are left out: libseccomp takes a millisecond for all
/// that clients allow by default.
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
    fn masks_are_where_libcontainer_looks_for_them() {
        let rule = |first: &str| {
            let arg = format!(r#"{{"index": 0, {first}, "op": "SCMP_CMP_MASKED_EQ"}}"#);
            let other = r#"{"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}"#;
            let call =
                format!(r#"{{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{arg}, {other}]}}"#);
            profile(&format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{call}]}}"#))
        };
        let turned = |first: &str| as_meant(&rule(first)).unwrap();
        assert_eq!(
            turned(r#""value": 2114060288, "valueTwo": 0"#),
            rule(r#""value": 0, "valueTwo": 2114060288"#)
        );
        assert_eq!(turned(r#""value": 6"#), rule(r#""value": 0, "valueTwo": 6"#));
    }

    #[test]
    fn a_listener_is_refused_in_a_sentence() {
        let asked = profile(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        );
        assert!(install(&asked).unwrap_err().to_string().contains("SCMP_ACT_NOTIFY"));
    }
}
