//! What a policy imports, and the host's state behind it.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, bail};
use bytes::Bytes;
use client::Client;
use engine::{HostCall, Import, Instance, Pending};
use http_body_util::Full;
use network::Egress;
use serde_json::Value;

use super::builtins::{self, Builtin};
use super::policy::{dumped, parsed};
use super::term::Term;
use crate::Memory;

/// The host's state for one instance.
pub struct Host {
    /// The functions that the policy calls, by its own numbers for them.
    pub builtins: HashMap<u32, Builtin>,
    /// Why it gave up.
    pub aborted: Option<String>,
    pub query: Query,
    pub outside: Outside,
}

/// What stays the same while one query is answered.
#[derive(Debug)]
pub struct Query {
    pub began: SystemTime,
    /// What functions have answered that answer each question alike: random numbers, responses.
    pub answered: HashMap<String, Value>,
}

impl Default for Query {
    fn default() -> Self {
        Self { began: SystemTime::now(), answered: HashMap::new() }
    }
}

/// What a policy reaches outside of itself, the same for all its instances.
#[derive(Clone)]
pub struct Outside {
    pub client: Client<Full<Bytes>>,
    /// For `opa.runtime`.
    pub env: Arc<[(String, String)]>,
}

impl Outside {
    pub fn new(egress: Arc<Egress>, env: &[(String, String)]) -> Self {
        Self { client: Client::new(egress, env), env: env.into() }
    }
}

impl Host {
    pub fn new(outside: Outside) -> Self {
        Self { builtins: HashMap::new(), aborted: None, query: Query::default(), outside }
    }

    /// Another query begins.
    pub fn begin(&mut self) {
        self.query = Query::default();
    }
}

/// How many pages of memory a policy begins with, at least: each says that two are enough, whatever its data needs.
pub const MIN_PAGES: u32 = 16;

/// All that a policy may import, but for its memory.
pub static IMPORTS: [Import<Host>; 7] = [
    plain("opa_abort", abort),
    plain("opa_println", println),
    within("opa_builtin0", 2),
    within("opa_builtin1", 3),
    within("opa_builtin2", 4),
    within("opa_builtin3", 5),
    within("opa_builtin4", 6),
];

type Plain = fn(&mut [u8], &mut Host, &[u32]) -> anyhow::Result<u32>;

const fn plain(name: &'static str, call: Plain) -> Import<Host> {
    Import { module: "env", name, parameters: 1, returns: false, call: HostCall::Plain(call) }
}

const fn within(name: &'static str, parameters: usize) -> Import<Host> {
    Import { module: "env", name, parameters, returns: true, call: HostCall::Within(builtin) }
}

/// A text of the policy's.
fn text(memory: &mut [u8], arguments: &[u32]) -> anyhow::Result<String> {
    let &[at] = arguments else { bail!("it takes one argument") };
    Ok(String::from_utf8_lossy(Memory::new(memory).terminated(at)?).into_owned())
}

fn abort(memory: &mut [u8], host: &mut Host, arguments: &[u32]) -> anyhow::Result<u32> {
    let words = text(memory, arguments)?;
    host.aborted = Some(words.clone());
    bail!("the policy gave up: {words}")
}

/// What `print` prints goes to standard error, as OPA has it.
fn println(memory: &mut [u8], _: &mut Host, arguments: &[u32]) -> anyhow::Result<u32> {
    let line = text(memory, arguments)?;
    // Nobody is left to read it if this fails.
    let _ = writeln!(std::io::stderr(), "{line}");
    Ok(0)
}

/// Calls a built-in function: its number, the query's own context, then values of the policy's. A function that fails
/// has no result, which is undefined in Rego.
fn builtin<'a>(
    instance: &'a mut (dyn Instance<Host> + 'a),
    arguments: &'a [u32],
) -> Pending<'a, anyhow::Result<u32>> {
    const UNDEFINED: u32 = 0;
    Box::pin(async move {
        let [number, _context, values @ ..] = arguments else { bail!("a built-in function has a number") };
        let builtin = instance.parts().1.builtins.get(number).copied();
        let builtin = builtin.with_context(|| format!("there is no built-in function {number}"))?;
        let with_sets = matches!(builtin, Builtin::WithSets(_));
        let mut given = Vec::new();
        for value in values {
            let text = dumped(instance, "opa_value_dump", *value).await?;
            let term = std::str::from_utf8(&text).ok().and_then(Term::read).context("a value is none")?;
            given.push(builtins::argument(&term, with_sets));
        }
        let result = builtins::call(builtin, instance.parts().1, &given).await;
        let Ok(result) = result else { return Ok(UNDEFINED) };
        let text = match (builtin, result) {
            (Builtin::Set(_), Value::Array(members)) if members.is_empty() => "set()".to_owned(),
            (Builtin::Set(_), Value::Array(members)) => {
                format!("{{{}}}", members.iter().map(Value::to_string).collect::<Vec<_>>().join(","))
            }
            (_, result) => result.to_string(),
        };
        Ok(parsed(instance, "opa_value_parse", text.as_bytes()).await?)
    })
}
