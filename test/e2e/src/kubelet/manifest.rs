//! Kubernetes' YAML, as far as it is translated here. An unknown field is an error: the tests must not pass on a part
//! of what a file requests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A pod and the objects that it refers to.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its name and annotations.
    pub metadata: Metadata,
    /// Its specification.
    pub spec: Spec,
    /// The handler of its runtime class.
    pub handler: String,
    /// The files of secrets and config maps, by kind and name.
    pub files: BTreeMap<(Kind, String), BTreeMap<String, String>>,
}

/// The kind of object that files come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Secret's.
    Secret,
    /// A ConfigMap's.
    ConfigMap,
}

macro_rules! manifest {
    ($($(#[doc = $doc:literal])* $name:ident { $($field:ident: $type:ty,)* })*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "fields are those of Kubernetes")]
        pub struct $name { $(pub $field: $type,)* }
    )* };
}

manifest! {
    /// The metadata of any object.
    Metadata {
        name: String,
        namespace: Option<String>,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    }
    /// A pod's specification.
    Spec {
        runtime_class_name: String,
        automount_service_account_token: Option<bool>,
        termination_grace_period_seconds: Option<i64>,
        share_process_namespace: bool,
        init_containers: Vec<Container>,
        containers: Vec<Container>,
        volumes: Vec<Volume>,
    }
    /// A container's specification.
    Container {
        name: String,
        image: String,
        image_pull_policy: Option<String>,
        restart_policy: Option<String>,
        command: Vec<String>,
        args: Vec<String>,
        env: Vec<Variable>,
        ports: Vec<Port>,
        startup_probe: Option<Probe>,
        readiness_probe: Option<Probe>,
        liveness_probe: Option<Probe>,
        resources: Resources,
        security_context: Security,
        volume_mounts: Vec<VolumeMount>,
    }
    /// An environment variable.
    Variable { name: String, value: Option<String>, value_from: Option<Source>, }
    /// Where a variable's value comes from.
    Source { field_ref: FieldRef, }
    /// A field of the pod.
    FieldRef { field_path: String, }
    /// A port that it declares.
    Port { name: Option<String>, container_port: u16, protocol: Option<String>, }
    /// A health check.
    Probe {
        http_get: HttpGet,
        initial_delay_seconds: u32,
        timeout_seconds: Option<u32>,
        period_seconds: Option<u32>,
        failure_threshold: Option<u32>,
    }
    /// The request of a probe.
    HttpGet { path: String, port: Value, }
    /// Its limits and requests.
    Resources { limits: BTreeMap<String, String>, requests: BTreeMap<String, String>, }
    /// Its security context.
    Security {
        run_as_non_root: Option<bool>,
        run_as_user: Option<i64>,
        run_as_group: Option<i64>,
        read_only_root_filesystem: bool,
        allow_privilege_escalation: Option<bool>,
        capabilities: Capabilities,
        seccomp_profile: Option<Seccomp>,
    }
    /// Capabilities added to and dropped from the default ones.
    Capabilities { add: Vec<String>, drop: Vec<String>, }
    /// Its seccomp profile.
    Seccomp { r#type: String, }
    /// Where a volume is mounted.
    VolumeMount { name: String, mount_path: String, read_only: bool, }
    /// A volume of the pod.
    Volume {
        name: String,
        empty_dir: Option<EmptyDir>,
        secret: Option<SecretVolume>,
        config_map: Option<ConfigMapVolume>,
    }
    /// A directory that lasts as long as the pod.
    EmptyDir {}
    /// A Secret as files.
    SecretVolume { secret_name: String, }
    /// A ConfigMap as files.
    ConfigMapVolume { name: String, }
    /// A Secret.
    SecretFiles { metadata: Metadata, string_data: BTreeMap<String, String>, }
    /// A ConfigMap.
    ConfigMapFiles { metadata: Metadata, data: BTreeMap<String, String>, }
    /// A Pod.
    PodObject { metadata: Metadata, spec: Spec, }
    /// A RuntimeClass.
    RuntimeClass { metadata: Metadata, handler: String, }
}

impl Manifest {
    /// Reads `name` of `test/examples`, and the runtime class beside it.
    ///
    /// # Errors
    /// What cannot be parsed.
    pub fn read(name: &str) -> Result<Self> {
        let path = dir().join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let class = fs::read_to_string(dir().join("runtime-class.yaml"))?;
        Self::parse(&text, &class).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, class: &str) -> Result<Self> {
        let (mut pod, mut files) = (None, BTreeMap::new());
        for (kind, object) in objects(text)? {
            match kind.as_str() {
                "v1 Pod" => ensure!(pod.replace(typed::<PodObject>(object)?).is_none(), "two pods"),
                "v1 Secret" => {
                    let read: SecretFiles = typed(object)?;
                    files.insert((Kind::Secret, read.metadata.name), read.string_data);
                }
                "v1 ConfigMap" => {
                    let read: ConfigMapFiles = typed(object)?;
                    files.insert((Kind::ConfigMap, read.metadata.name), read.data);
                }
                other => bail!("an object of the kind {other:?}"),
            }
        }
        let PodObject { metadata, spec } = pod.context("no pod")?;
        let mut classes = objects(class)?.into_iter().map(|(kind, object)| {
            ensure!(kind == "node.k8s.io/v1 RuntimeClass", "an object of the kind {kind:?}");
            typed::<RuntimeClass>(object)
        });
        let class = classes.next().context("no runtime class")??;
        let named = &spec.runtime_class_name;
        ensure!(*named == class.metadata.name, "there is no runtime class {named:?}");
        Ok(Self { metadata, spec, handler: class.handler, files })
    }

    /// The container called `name`, of whatever kind.
    ///
    /// # Errors
    /// When there is none.
    pub fn container(&self, name: &str) -> Result<&Container> {
        let mut all = self.spec.init_containers.iter().chain(&self.spec.containers);
        all.find(|one| one.name == name).with_context(|| format!("a container {name:?}"))
    }
}

impl Container {
    /// The number of a port that a probe names.
    ///
    /// # Errors
    /// When it has no such port.
    pub fn port(&self, named: &Value) -> Result<u16> {
        if let Some(number) = named.as_u64() {
            return Ok(u16::try_from(number)?);
        }
        let port = self.ports.iter().find(|port| port.name.as_deref() == named.as_str());
        Ok(port.with_context(|| format!("{} has no port {named}", self.name))?.container_port)
    }

    /// Whether it is a sidecar in Kubernetes' sense: an init container that is restarted always.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

/// Every pod file of `test/examples`.
///
/// # Errors
/// When the directory cannot be read.
pub fn names() -> Result<Vec<String>> {
    let listed = fs::read_dir(dir())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_pod = |name: &String| name.ends_with(".yaml") && name != "runtime-class.yaml";
    let mut names: Vec<String> = listed.filter(is_pod).collect();
    names.sort();
    Ok(names)
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The objects of a file, each with its version and kind, which are removed from it.
fn objects(text: &str) -> Result<Vec<(String, Value)>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let kind = |mut object: Value| {
        let map = object.as_object_mut().context("no object")?;
        let mut take = |name: &str| match map.remove(name) {
            Some(Value::String(word)) => Ok(word),
            _ => bail!("an object without {name}"),
        };
        Ok((format!("{} {}", take("apiVersion")?, take("kind")?), object))
    };
    objects.into_iter().map(kind).collect()
}

fn typed<T: DeserializeOwned>(object: Value) -> Result<T> {
    Ok(serde_json::from_value(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &str = "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: l}\nhandler: h\n";
    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  runtimeClassName: l\n  containers: [{name: c}]\n";

    #[test]
    fn an_unknown_field_is_an_error() {
        assert_eq!(Manifest::parse(POD, CLASS).unwrap().handler, "h");
        let check = |text: &str, words: &str| {
            let error = format!("{:#}", Manifest::parse(text, CLASS).unwrap_err());
            assert!(error.contains(words), "{error}");
        };
        check(&POD.replace("{name: c}", "{name: c, tty: true}"), "unknown field `tty`");
        check(&format!("{POD}  hostPID: true\n"), "unknown field `hostPID`");
        check(&POD.replace("runtimeClassName: l", "runtimeClassName: m"), "no runtime class \"m\"");
        check(&POD.replace("kind: Pod", "kind: Job"), "\"v1 Job\"");
    }

    #[test]
    fn every_example_is_understood() {
        for name in names().unwrap() {
            Manifest::read(&name).unwrap_or_else(|error| panic!("{error:#}"));
        }
    }
}
