//! Which engine a container asks for.

use serde::{Deserialize, Serialize};

use crate::Workload;
use crate::wishes::{Wish, Wishes};

/// The annotation by which crun's users choose an engine.
const HANDLER: &str = "run.oci.handler";
/// What it says, as a runtime's name may, where any engine will do.
const ANY: &str = "wasm";

/// An engine that was asked for by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The engine's name.
    pub engine: String,
    /// Who asked for it, for a sentence: `the annotation lighter.wasm/engine`.
    pub said_by: String,
}

impl Choice {
    /// What `said_by` says, unless it is nothing in particular.
    pub fn of(engine: &str, said_by: impl Into<String>) -> Option<Self> {
        let named = !engine.is_empty() && engine != ANY;
        named.then(|| Self { engine: engine.into(), said_by: said_by.into() })
    }
}

impl Workload {
    /// The engine that the container asks for: by the annotation `lighter.wasm/engine`, else by crun's, else by
    /// the variable `LIGHTER_ENGINE`, which may be the image's, else by the runtime's options.
    pub fn engine(&self) -> Option<Choice> {
        let wish = Wishes::of(self).get("engine");
        let (own, variable) = match wish {
            Some(wish) if wish.is_annotation() => (Some(wish), None),
            wish => (None, wish),
        };
        let chosen = |wish: Wish<'_>| Choice::of(wish.text(), wish.said_by());
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
