//! The apps of `test/examples`, one per language: the commands of the README there, word by word, and how apps with
//! large runtimes fare with a small memory limit and with a second request.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::containerd::Containerd;
use e2e::cri::{self, Cri};
use e2e::ctr::Run;
use e2e::http::Served;
use e2e::http::client::ask;
use e2e::http::wire::Wire;
use e2e::process::{LIMIT, Running, poll};
use e2e::runner::Scenario;
use e2e::{examples, image, kernel, versions};
use hyper::Request;

use crate::options::with;

const README: &str = include_str!("../../../examples/README.md");
/// The very first start compiles 18 MB.
const COMPILING: Duration = Duration::from_secs(180);

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, language) in [("javascript", "JavaScript"), ("python", "Python")] {
        scenarios.push(Scenario::measured(format!("example-memory-{name}"), move |daemon| {
            memory(daemon, name, &format!("hello from {language}, Ada"))
        }));
    }
    scenarios.push(Scenario::ours("example-reuse-javascript", |daemon| {
        reuse(daemon, "javascript", "hello from JavaScript, ")
    }));
    for name in ["go", "python", "javascript", "rust", "c"] {
        scenarios.push(cri::ours(format!("cri-example-{name}"), move |cri| typed(cri, name)));
    }
    scenarios
}

/// The app runs and answers as the README shows.
fn typed(cri: &Cri<'_>, name: &str) -> Result<()> {
    let lines = shown(name)?;
    let (run, more) = lines.split_first().context("nothing is shown")?;
    // The README cannot know the tests' paths; the image's name comes before the container's.
    let id = format!("{}-{name}", cri.daemon.scope.tag);
    let mut words: Vec<&str> = run.split(' ').map(|word| if word == name { &id } else { word }).collect();
    ensure!(words.remove(0) == "ctr", "{run:?} is no ctr");
    let options = options(cri.daemon)?.display().to_string();
    words.splice(1..1, ["--runtime-config-path", &options]);
    import(cri.daemon, name)?;
    let mut app = Running::start(&mut cri.daemon.ctr(words))?;
    match more {
        [printed] => app.finish(COMPILING)?.ok()?.prints(printed).map(drop),
        [curl, answer] => {
            let answered = poll("an answer", COMPILING, || {
                ensure!(!app.ended()?, "it ended");
                Ok(asked(cri, curl).ok())
            });
            if let Err(error) = answered {
                return Err(error.context(format!("{:?}", app.finish(Duration::ZERO))));
            }
            cri.daemon.kill(&id, "SIGTERM", false)?;
            // The server of a wasi:http component handles SIGTERM and exits with 0; Go's program is terminated by it.
            let code = if name == "go" { 143 } else { 0 };
            app.finish(LIMIT)?.exits(code)?;
            let answered = answered?;
            ensure!(answered.trim_end() == *answer, "it answers {answered:?}");
            Ok(())
        }
        _ => bail!("the README shows {} lines", lines.len()),
    }
}

/// The second of the app's two examples in the README: how it is run, and what it prints.
fn shown(name: &str) -> Result<Vec<&'static str>> {
    let heading = format!("### {name}");
    let lines = README.lines().skip_while(|line| *line != heading).skip(1);
    let mut fences = 0;
    let lines = lines.take_while(|line| !line.starts_with('#')).filter(|line| {
        fences += usize::from(line.starts_with("```"));
        fences == 3 && !line.starts_with("```")
    });
    let lines: Vec<&str> = lines.collect();
    ensure!(!lines.is_empty(), "the README does not show how to run {name}");
    Ok(lines)
}

/// What `curl -d BODY http://ADDRESS/` prints.
fn asked(cri: &Cri<'_>, curl: &str) -> Result<String> {
    let words: Vec<&str> = curl.split(' ').collect();
    let ["curl", "-d", body, url] = words.as_slice() else { bail!("{curl:?}") };
    let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).context("no URL")?;
    let net = cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
    let answer = ask(net, address.parse::<SocketAddr>()?, Request::post("/").body((*body).into())?)?;
    Ok(answer.into_body())
}

/// Twenty clients in the middle of their requests are all answered within 128 MiB, though twenty times the guest's
/// initial memory is more than that.
fn memory(daemon: &Containerd, name: &str, greeting: &str) -> Result<String> {
    const CLIENTS: usize = 20;
    /// How long all clients are connected at once.
    const WHILE: Duration = Duration::from_millis(500);
    let (running, web) = serving(daemon, name, |run| run.flag("--memory-limit", &(128 << 20).to_string()))?;
    let mut wires = (0..CLIENTS).map(|_| web.wire()).collect::<Result<Vec<_>>>()?;
    for wire in &mut wires {
        wire.posts("/")?;
        wire.sends_chunk("A")?;
    }
    thread::sleep(WHILE);
    for wire in &mut wires {
        // A refused request already has its answer, and its connection may take no more.
        drop(wire.sends_chunk("da").and_then(|()| wire.sends_chunk("")));
    }
    let answers = wires.iter_mut().map(Wire::answer).collect::<Result<Vec<_>>>()?;
    let peak = peak(web.pid)?;
    daemon.kill("web", "SIGTERM", false)?;
    let output = running.finish(LIMIT)?.ok()?;
    let refused = answers.iter().filter(|answer| answer.status != 200).count();
    ensure!(refused == 0, "{refused} of {CLIENTS} were refused: {:?}", output.stderr.lines().next());
    answers.into_iter().try_for_each(|answer| answer.is(200, greeting).map(drop))?;
    Ok(format!("{} MiB at most, {CLIENTS} clients at once", peak.div_ceil(1 << 20)))
}

/// A program made for one request hangs in the second, where its instances are to be reused: an idempotent request
/// is answered all the same, by a fresh instance.
fn reuse(daemon: &Containerd, name: &str, greeting: &str) -> Result<()> {
    let (running, web) = serving(daemon, name, |run| run.annotation("lighter.wasm/http.reuse", "100"))?;
    for _ in 0..4 {
        web.get("/")?.is(200, greeting)?;
    }
    let mut wire = web.wire()?;
    wire.posts("/")?;
    wire.sends_chunk("")?;
    wire.answer()?.status(500)?;
    web.get("/")?.is(200, greeting)?;
    daemon.kill("web", "SIGTERM", false)?;
    let stderr = running.finish(LIMIT)?.ok()?.stderr;
    ensure!(stderr.contains("a fresh one is asked"), "{stderr}");
    Ok(())
}

/// The app in a container called `web`, configured by `flags`.
fn serving<'a>(
    daemon: &'a Containerd,
    name: &str,
    flags: impl FnOnce(Run<'a>) -> Run<'a>,
) -> Result<(Running, Served<'a>)> {
    import(daemon, name)?;
    let run = with(daemon, "web", &kept()?)?.image(&format!("localhost/examples/{name}:1"));
    let mut running = flags(run).start()?;
    poll("the app to run", COMPILING, || {
        ensure!(!running.ended()?, "it ended");
        Ok(daemon.tasks()?.iter().any(|task| task.id == "web" && task.status == "RUNNING").then_some(()))
    })?;
    Ok((running, Served::of(daemon, "web")?))
}

/// The peak memory of the container of process `pid`, in bytes.
fn peak(pid: i32) -> Result<u64> {
    let file = match kernel::cgroup(pid, "memory") {
        Ok(dir) => dir.join("memory.max_usage_in_bytes"),
        Err(_) => kernel::cgroup(pid, "")?.join("memory.peak"),
    };
    Ok(fs::read_to_string(&file).with_context(|| file.display().to_string())?.trim().parse()?)
}

/// Imports the app's image.
fn import(daemon: &Containerd, name: &str) -> Result<()> {
    let archive = daemon.scope.dir.join("tmp").join(format!("{name}.tar"));
    image::write_examples(&[examples::app(name)?], &archive)?;
    daemon.import(&archive)?;
    Ok(fs::remove_file(archive)?)
}

/// Writes the runtime's options, with the cache directory, to a file.
fn options(daemon: &Containerd) -> Result<PathBuf> {
    let path = daemon.scope.dir.join("tmp/examples.toml");
    fs::write(&path, format!("{}{}", daemon.shim.driver.options().unwrap_or_default(), kept()?))?;
    Ok(path)
}

/// The cache directory that all containerds of the tests share, so that each app is compiled once.
fn kept() -> Result<String> {
    let dir: &Path = &versions::apps()?.join("cache");
    Ok(format!("CacheDir = {dir:?}\n"))
}
