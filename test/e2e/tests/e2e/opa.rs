//! Policies compiled by Open Policy Agent: each query gets the answer of OPA's own interpreter and server. Policies
//! and answers: `test/guests/opa`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::http::upstream::Upstream;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::data::shared_dir;

/// OPA's default address.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 8181);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("opa-bundle", |daemon| answers(daemon, "rbac")),
        Scenario::ours("opa-documents", |daemon| answers(daemon, "example")),
        Scenario::ours("opa-builtins", |daemon| answers(daemon, "builtins")),
        Scenario::ours("opa-keys", |daemon| answers(daemon, "keys")),
        Scenario::ours("opa-conflicts", |daemon| answers(daemon, "abort")),
        Scenario::ours("opa-fresh-instances", fresh),
        Scenario::ours("opa-rest", rest),
        Scenario::ours("opa-print", print),
        Scenario::ours("opa-send", send),
        Scenario::ours("opa-missing-builtins", missing),
        Scenario::ours("opa-once", once),
    ]
}

/// A query, and the answer of OPA's server.
#[derive(Deserialize)]
struct Case {
    path: String,
    input: Option<Box<RawValue>>,
    status: u16,
    answer: Box<RawValue>,
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/opa")
}

/// A directory with the policy and its data, if any.
fn bundle(daemon: &Containerd, id: &str, policy: &str) -> Result<PathBuf> {
    let dir = shared_dir(daemon, id)?;
    fs::copy(policies().join(policy).with_extension("wasm"), dir.join("policy.wasm"))?;
    let data = policies().join(policy).join("data.json");
    if data.exists() {
        fs::copy(data, dir.join("data.json"))?;
    }
    Ok(dir)
}

fn serve<'a>(
    daemon: &'a Containerd,
    id: &str,
    policy: &str,
    annotations: &[(&str, &str)],
) -> Result<Served<'a>> {
    let dir = bundle(daemon, id, policy)?;
    let run = daemon.run("opa").args(&["/bundle/policy.wasm"]).bind(&dir, "/bundle", false);
    let run = annotations
        .iter()
        .fold(run, |run, (name, value)| run.annotation(&format!("lighter.wasm/{name}"), value));
    Ok(run.serve()?.at(ADDRESS))
}

/// Sends all queries over one connection, so that state left by one would show in the next. Intended differences from
/// OPA are listed in `differences.json`, with reasons.
fn ask_all(served: &Served<'_>, policy: &str) -> Result<()> {
    let text = fs::read_to_string(policies().join(format!("{policy}.expected.json")))?;
    let cases: Vec<Case> = serde_json::from_str(&text)?;
    ensure!(!cases.is_empty(), "no queries");
    let differences: BTreeMap<String, String> =
        serde_json::from_str(&fs::read_to_string(policies().join("differences.json"))?)?;
    let mut wire = served.wire()?;
    let mut wrong = Vec::new();
    for case in cases {
        let body = case.input.map_or_else(|| "{}".into(), |input| format!("{{\"input\":{input}}}"));
        let answer = wire.ask(&format!("POST /v1/data/{}", case.path), &body)?;
        // Errors are pretty-printed and compared as JSON; results are compared byte by byte.
        let got = match case.status {
            200 => answer.text().trim_end().to_owned(),
            _ => serde_json::from_str::<Value>(&answer.text()).with_context(|| answer.text())?.to_string(),
        };
        let expected = match case.status {
            200 => case.answer.get().to_owned(),
            _ => serde_json::from_str::<Value>(case.answer.get())?.to_string(),
        };
        let differs = differences.get(&format!("{} {body}", case.path));
        if differs.is_some() && got == expected {
            wrong
                .push(format!("{} {body} is as OPA answers, and differences.json says otherwise", case.path));
        }
        if differs.is_none() && (answer.status, &got) != (case.status, &expected) {
            let wanted = case.status;
            wrong.push(format!(
                "{} {body}: {} {got} instead of {wanted} {expected}",
                case.path, answer.status
            ));
        }
    }
    ensure!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

fn answers(daemon: &Containerd, policy: &str) -> Result<()> {
    let served = serve(daemon, &format!("opa-answers-{policy}"), policy, &[])?;
    ask_all(&served, policy)?;
    served.end()
}

/// The same with a fresh instance for each query.
fn fresh(daemon: &Containerd) -> Result<()> {
    let served = serve(daemon, "opa-fresh", "rbac", &[("http.reuse", "1")])?;
    ask_all(&served, "rbac")?;
    served.end()
}

/// The rest of the REST API.
fn rest(daemon: &Containerd) -> Result<()> {
    let served = serve(daemon, "opa-rest", "rbac", &[("http.health", "/up")])?;
    let mut wire = served.wire()?;
    let mut check = |what: &str, body: &str, status: u16, expected: &str| -> Result<()> {
        wire.ask(what, body)?.is(status, expected).map(drop).with_context(|| what.to_owned())
    };
    check("GET /health", "", 200, "{}")?;
    check("GET /up", "", 200, "ok")?;
    let input = "%7B%22user%22%3A%22alice%22%2C%22action%22%3A%22delete%22%2C%22object%22%3A%22wiki%22%7D";
    check(&format!("GET /v1/data/rbac/allow?input={input}"), "", 200, r#"{"result":true}"#)?;
    check("GET /v1/data/rbac/allow", "", 200, r#"{"result":false}"#)?;
    check(&format!("GET /v1/data/rbac/allow?pretty&input={input}"), "", 200, "{\n  \"result\": true\n}")?;
    check("GET /v1/data/nothing", "", 200, "{}")?;
    check("POST /v0/data/rbac/allow", r#"{"user":"alice","action":"delete","object":"wiki"}"#, 200, "true")?;
    let missing = |path| {
        format!(
            "{{\n  \"code\": \"undefined_document\",\n  \"message\": \"document missing: data.{path}\"\n}}"
        )
    };
    check("POST /v0/data/nothing/here", "{}", 404, &missing("nothing.here"))?;
    check("POST /", "{}", 404, &missing("system.main"))?;
    check("DELETE /v1/data", "", 405, "")?;
    check("GET /elsewhere", "", 404, "404 page not found")?;
    wire.ask("POST /v1/data/rbac/allow", "{")?.status(400)?.says("body contains malformed input document")?;
    wire.ask("GET /v1/data/rbac/allow?input=%7B", "")?
        .status(400)?
        .says("parameter contains malformed input")?;
    wire.ask("PUT /v1/data/rbac/users", "{}")?.status(501)?.says("not_implemented")?;
    wire.ask("GET /v1/policies", "")?.status(501)?.says("not_implemented")?;
    served.end()
}

/// A policy's `print` goes to the log.
fn print(daemon: &Containerd) -> Result<()> {
    let served = serve(daemon, "opa-print", "print", &[])?;
    ask_all(&served, "print")?;
    served.logs("zoë")?;
    served.end()
}

/// `http.send` reaches only what the guest may reach, and sends equal requests of a query once.
fn send(daemon: &Containerd) -> Result<()> {
    let served = serve(daemon, "opa-send", "send", &[("allowed-outbound", "127.0.0.1")])?;
    let upstream = Upstream::serve(&served.net, None)?;
    let ask = |path: &str, host: &str| -> Result<Value> {
        let input = json!({
            "url": format!("http://{host}:{}", upstream.port), "nobody": "http://127.0.0.1:1/", "question": "why",
        });
        let answer =
            served.wire()?.ask(&format!("POST /v1/data/{path}"), &json!({ "input": input }).to_string())?;
        Ok(serde_json::from_str(&answer.status(200)?.text())?)
    };
    let check = |path: &str, host: &str, expected: Value| -> Result<()> {
        let got = ask(path, host)?;
        ensure!(got == expected, "{path}: {got} instead of {expected}");
        Ok(())
    };
    check("send/raw", "127.0.0.1", json!({ "result": "as it is" }))?;
    let text = json!({ "result": { "raw": "asked for /text\n", "parsed": null } });
    check("send/text", "127.0.0.1", text)?;
    let failed =
        json!({ "result": { "code": "eval_http_send_network_error", "status_code": 0, "tells": true } });
    check("send/error", "127.0.0.1", failed)?;
    check("send/raised", "127.0.0.1", json!({}))?;
    check("send/raw", "127.0.0.2", json!({}))?;
    served.logs("lighter: the guest may not connect to 127.0.0.2")?;
    served.end()
}

/// A policy that needs missing built-in functions fails at its start and names them: a wrong answer might allow
/// something.
fn missing(daemon: &Containerd) -> Result<()> {
    let served = serve(daemon, "opa-missing", "rare", &[])?;
    served.logs("it calls built-in functions that are not here: ")?;
    served.ends(1)
}

/// One query, whose input is standard input; here it is empty.
fn once(daemon: &Containerd) -> Result<()> {
    let dir = bundle(daemon, "opa-once", "rbac")?;
    let args = ["/bundle/policy.wasm", "rbac/allow"];
    let mut running = daemon.run("opa").args(&args).bind(&dir, "/bundle", false).start()?;
    // ctr passes the end of its stdin on only once it has a task.
    poll("the task to run", LIMIT, || {
        Ok(daemon.tasks()?.iter().any(|task| task.status == "RUNNING").then_some(()))
    })?;
    running.feed("")?;
    let answer = running.finish(LIMIT)?;
    ensure!((answer.code, answer.stdout.as_str()) == (0, "{\"result\":false}\n"), "{answer:?}");
    // Invalid data is reported before any query.
    fs::write(dir.join("data.json"), "[]")?;
    let refused = daemon.run("opa").args(&args).bind(&dir, "/bundle", false).finish()?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("/bundle/data.json is not a JSON object"),
        "{refused:?}"
    );
    Ok(())
}
