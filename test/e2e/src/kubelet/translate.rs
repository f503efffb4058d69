//! The CRI configuration of a manifest's container.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_cri::v1;
use k8s_cri::v1::security_profile::ProfileType;

use super::Kubelet;
use super::manifest::{Container, Resources, Security, Variable};

/// What the kubelet masks in /proc and /sys.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Units per CPU: of a request, and of a cgroup's shares.
const MILLI: i64 = 1000;
const SHARES: i64 = 1024;
const PERIOD: i64 = 100_000;

/// Everything except its name, its log and its namespaces.
pub fn container(kubelet: &Kubelet<'_>, name: &str) -> Result<v1::ContainerConfig> {
    let one = kubelet.manifest.container(name)?;
    let words =
        one.command.iter().chain(&one.args).chain(one.env.iter().filter_map(|one| one.value.as_ref()));
    for word in words {
        ensure!(!word.contains("$("), "{word:?}: variables are not put in here");
    }
    ensure!(
        one.image_pull_policy.as_deref().is_none_or(|policy| policy == "IfNotPresent"),
        "images are not pulled here"
    );
    ensure!(one.restart_policy.is_none() || one.is_sidecar(), "{:?}", one.restart_policy);
    Ok(v1::ContainerConfig {
        image: Some(v1::ImageSpec { image: one.image.clone(), ..Default::default() }),
        command: one.command.clone(),
        args: one.args.clone(),
        envs: one.env.iter().map(|variable| value(kubelet, variable)).collect::<Result<_>>()?,
        mounts: mounts(kubelet, one)?,
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(resources(&one.resources)?),
            security_context: Some(security(kubelet, one)?),
        }),
        ..Default::default()
    })
}

/// A seccomp profile by Kubernetes' name for it.
pub fn seccomp(kind: &str) -> v1::SecurityProfile {
    let kind = if kind == "RuntimeDefault" { ProfileType::RuntimeDefault } else { ProfileType::Unconfined };
    v1::SecurityProfile { profile_type: kind.into(), ..Default::default() }
}

fn value(kubelet: &Kubelet<'_>, variable: &Variable) -> Result<v1::KeyValue> {
    let metadata = &kubelet.manifest.metadata;
    let value = match (&variable.value, &variable.value_from) {
        (Some(value), None) => value.clone(),
        (None, Some(source)) => match source.field_ref.field_path.as_str() {
            "metadata.name" => metadata.name.clone(),
            "metadata.namespace" => metadata.namespace.clone().unwrap_or_else(|| "default".into()),
            "status.podIP" => kubelet.pod.address()?.to_string(),
            other => bail!("the field {other:?}"),
        },
        _ => bail!("the variable {} has no value, or two", variable.name),
    };
    Ok(v1::KeyValue { key: variable.name.clone(), value })
}

fn mounts(kubelet: &Kubelet<'_>, one: &Container) -> Result<Vec<v1::Mount>> {
    let mount = |host: std::path::PathBuf, path: &str, read_only| v1::Mount {
        host_path: host.display().to_string(),
        container_path: path.into(),
        readonly: read_only,
        ..Default::default()
    };
    let mut mounts = vec![
        mount(kubelet.volumes.hosts(), "/etc/hosts", false),
        mount(kubelet.volumes.last_words(&one.name)?, "/dev/termination-log", false),
    ];
    for wanted in &one.volume_mounts {
        let (dir, read_only) = kubelet.volumes.at(&wanted.name)?;
        mounts.push(mount(dir, &wanted.mount_path, read_only || wanted.read_only));
    }
    Ok(mounts)
}

fn security(kubelet: &Kubelet<'_>, one: &Container) -> Result<v1::LinuxContainerSecurityContext> {
    let asked: &Security = &one.security_context;
    let user = match asked.run_as_user {
        Some(user) => Some(user),
        None => kubelet.pod.cri.image_user(&one.image)?,
    };
    if asked.run_as_non_root == Some(true) {
        let user = user.with_context(|| format!("whether the image {} has root as its user", one.image))?;
        ensure!(user != 0, "{} must not run as root", one.name);
    }
    let number = |value: i64| v1::Int64Value { value };
    let words = |words: &[&str]| words.iter().map(|word| (*word).into()).collect();
    let kind = asked.seccomp_profile.as_ref().map_or("Unconfined", |profile| &profile.r#type);
    ensure!(["RuntimeDefault", "Unconfined"].contains(&kind), "the seccomp profile {kind}");
    Ok(v1::LinuxContainerSecurityContext {
        capabilities: Some(v1::Capability {
            add_capabilities: asked.capabilities.add.clone(),
            drop_capabilities: asked.capabilities.drop.clone(),
            ..Default::default()
        }),
        run_as_user: user.map(number),
        run_as_group: asked.run_as_group.map(number),
        readonly_rootfs: asked.read_only_root_filesystem,
        no_new_privs: asked.allow_privilege_escalation == Some(false),
        masked_paths: words(&MASKED),
        readonly_paths: words(&READ_ONLY),
        seccomp: Some(seccomp(kind)),
        ..Default::default()
    })
}

fn resources(asked: &Resources) -> Result<v1::LinuxContainerResources> {
    let mut limits = v1::LinuxContainerResources::default();
    for (name, text) in &asked.limits {
        match name.as_str() {
            "memory" => limits.memory_limit_in_bytes = bytes(text)?,
            "cpu" => {
                limits.cpu_period = PERIOD;
                limits.cpu_quota = milli(text)? * PERIOD / MILLI;
            }
            other => bail!("a limit of {other}"),
        }
    }
    for (name, text) in &asked.requests {
        match name.as_str() {
            // Only the scheduler uses it.
            "memory" => drop(bytes(text)?),
            "cpu" => limits.cpu_shares = milli(text)? * SHARES / MILLI,
            other => bail!("a request of {other}"),
        }
    }
    Ok(limits)
}

fn bytes(text: &str) -> Result<i64> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        other => bail!("{text}: {other} is no unit"),
    };
    Ok(digits.parse::<i64>()? << shift)
}

fn milli(text: &str) -> Result<i64> {
    match text.strip_suffix('m') {
        Some(digits) => Ok(digits.parse()?),
        None => Ok(text.parse::<i64>()? * MILLI),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        assert_eq!((bytes("128Mi").unwrap(), bytes("7").unwrap()), (128 << 20, 7));
        assert_eq!((milli("250m").unwrap(), milli("2").unwrap()), (250, 2000));
        assert!(bytes("1M").is_err());
    }
}
