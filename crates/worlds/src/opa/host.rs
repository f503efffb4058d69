//! The imports of a policy, and their state.

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
pub struct PolicyState {
    /// The built-in functions that the policy calls, by its own numbers.
    pub builtins: HashMap<u32, Builtin>,
    /// The message of its abort.
    pub aborted: Option<String>,
    pub query: Query,
    pub outside: HostAccess,
}

/// What stays the same during one query.
#[derive(Debug)]
pub struct Query {
    pub began: SystemTime,
    /// Results that must be the same for each call with the same arguments: random numbers, HTTP responses.
    pub cached: HashMap<String, Value>,
}

impl Default for Query {
    fn default() -> Self {
        Self { began: SystemTime::now(), cached: HashMap::new() }
    }
}

/// What a policy may use of the host, the same for all its instances.
#[derive(Clone)]
pub struct HostAccess {
    pub client: Client<Full<Bytes>>,
    /// For `opa.runtime`.
    pub env: Arc<[(String, String)]>,
}

impl HostAccess {
    pub fn new(egress: Arc<Egress>, env: &[(String, String)]) -> Self {
        Self { client: Client::new(egress, env), env: env.into() }
    }
}

impl PolicyState {
    pub fn new(outside: HostAccess) -> Self {
        Self { builtins: HashMap::new(), aborted: None, query: Query::default(), outside }
    }

    /// Resets the state for another query.
    pub fn begin(&mut self) {
        self.query = Query::default();
    }
}

/// The initial memory of a policy, at least: each declares two pages, however much its data needs.
pub const MIN_PAGES: u32 = 16;

/// All imports of a policy, except its memory.
pub static IMPORTS: [Import<PolicyState>; 7] = [
    plain("opa_abort", abort),
    plain("opa_println", println),
    within("opa_builtin0", 2),
    within("opa_builtin1", 3),
    within("opa_builtin2", 4),
    within("opa_builtin3", 5),
    within("opa_builtin4", 6),
];

type Plain = fn(&mut [u8], &mut PolicyState, &[u32]) -> anyhow::Result<u32>;

const fn plain(name: &'static str, call: Plain) -> Import<PolicyState> {
    Import { module: "env", name, parameters: 1, returns: false, call: HostCall::Plain(call) }
}

const fn within(name: &'static str, parameters: usize) -> Import<PolicyState> {
    Import { module: "env", name, parameters, returns: true, call: HostCall::Within(builtin) }
}

/// Reads a string in the policy's memory.
fn text(memory: &mut [u8], arguments: &[u32]) -> anyhow::Result<String> {
    let &[at] = arguments else { bail!("it takes one argument") };
    Ok(String::from_utf8_lossy(Memory::new(memory).terminated(at)?).into_owned())
}

fn abort(memory: &mut [u8], host: &mut PolicyState, arguments: &[u32]) -> anyhow::Result<u32> {
    let words = text(memory, arguments)?;
    host.aborted = Some(words.clone());
    bail!("the policy gave up: {words}")
}

/// Prints to standard error, as OPA does.
fn println(memory: &mut [u8], _: &mut PolicyState, arguments: &[u32]) -> anyhow::Result<u32> {
    let line = text(memory, arguments)?;
    // A failure has nowhere left to be reported.
    let _ = writeln!(std::io::stderr(), "{line}");
    Ok(0)
}

/// Calls a built-in function. The arguments are its number, the query's context, then addresses of values. A function
/// that fails has no result, which is undefined in Rego.
fn builtin<'a>(
    instance: &'a mut (dyn Instance<PolicyState> + 'a),
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
