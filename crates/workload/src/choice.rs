//! The engine that a container requests.

use serde::{Deserialize, Serialize};

use crate::Workload;
use crate::settings::{ContainerSetting, ContainerSettings};

/// crun's annotation for the engine.
const HANDLER: &str = "run.oci.handler";
/// Its value for any engine; a runtime's name may have it, too.
const ANY: &str = "wasm";

/// A request for an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The engine's name.
    pub engine: String,
    /// The source of the request, for a message: `the annotation lighter.wasm/engine`.
    pub said_by: String,
}

impl Choice {
    /// The request for `engine`; `None` if any engine will do.
    pub fn of(engine: &str, said_by: impl Into<String>) -> Option<Self> {
        let named = !engine.is_empty() && engine != ANY;
        named.then(|| Self { engine: engine.into(), said_by: said_by.into() })
    }
}

impl Workload {
    /// The engine that the container requests: by the annotation `lighter.wasm/engine`, else by crun's, else by the
    /// variable `LIGHTER_ENGINE`, which may be the image's, else by the runtime's options.
    pub fn engine(&self) -> Option<Choice> {
        let setting = ContainerSettings::of(self).get("engine");
        let (own, variable) = match setting {
            Some(setting) if setting.is_annotation() => (Some(setting), None),
            setting => (None, setting),
        };
        let chosen = |setting: ContainerSetting<'_>| Choice::of(setting.text(), setting.said_by());
        let annotations = self.spec.annotations().as_ref();
        let handler = annotations.and_then(|all| all.get(HANDLER));
        own.and_then(chosen)
            .or_else(|| Choice::of(handler?, format!("the annotation {HANDLER}")))
            .or_else(|| variable.and_then(chosen))
            .or_else(|| Choice::of(&self.options.engine, "the option Engine"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Options;

    #[test]
    fn a_container_is_heard_before_the_runtime() {
        let check = |annotations: &str, env: &str, option: &str, expected: Option<(&str, &str)>| {
            let json = format!(
                r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"annotations":{{{annotations}}},
                "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/","args":["a"],"env":["{env}"]}}}}"#
            );
            let options = Options { engine: option.into(), ..Options::default() };
            let workload = Workload::read("c", Path::new("/b"), json.as_bytes(), options).unwrap();
            let expected = expected.and_then(|(engine, said_by)| Choice::of(engine, said_by));
            assert_eq!(workload.engine(), expected, "{annotations} {env} {option}");
        };
        let (own, crun) = (r#""lighter.wasm/engine":"a""#, r#""run.oci.handler":"b""#);
        check("", "", "", None);
        check("", "", "o", Some(("o", "the option Engine")));
        check(crun, "", "o", Some(("b", "the annotation run.oci.handler")));
        check(r#""run.oci.handler":"wasm""#, "", "", None);
        check("", "LIGHTER_ENGINE=v", "o", Some(("v", "the variable LIGHTER_ENGINE")));
        check(crun, "LIGHTER_ENGINE=v", "", Some(("b", "the annotation run.oci.handler")));
        check(
            r#""run.oci.handler":"wasm""#,
            "LIGHTER_ENGINE=v",
            "",
            Some(("v", "the variable LIGHTER_ENGINE")),
        );
        let both = format!("{own},{crun}");
        check(&both, "LIGHTER_ENGINE=v", "o", Some(("a", "the annotation lighter.wasm/engine")));
        check(r#""lighter.wasm/engine":"wasm""#, "", "o", Some(("o", "the option Engine")));
    }
}
