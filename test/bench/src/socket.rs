//! Tasks directly on a shim's socket: the shim alone, without containerd.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use containerd_shim_protos::api::{
    CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ShutdownRequest,
    StartRequest, StartResponse, WaitRequest, WaitResponse,
};
use containerd_shim_protos::protobuf::Message;
use e2e::containerd::Containerd;
use e2e::scope::MARK;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use ttrpc::{Client, Request};

use crate::subject::Subject;

/// The daemon of one shim, started as containerd starts it.
pub struct Pod<'a> {
    daemon: &'a Containerd,
    name: &'a str,
    spec: Value,
    address: String,
    /// The reading end of its log; runc's shim does not run without one.
    _log: File,
}

impl<'a> Pod<'a> {
    /// Starts a daemon for the pod `name` by the shim's `start`.
    ///
    /// # Errors
    /// The output of the shim.
    pub fn start(daemon: &'a Containerd, subject: &Subject, name: &'a str) -> Result<Self> {
        let spec = daemon.default_spec("bench", subject.args)?;
        let bundle = bundle(daemon, &spec, name)?;
        let log = bundle.join("log");
        mkfifoat(CWD, &log, Mode::RUSR | Mode::WUSR)?;
        let log = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(log)?;
        let binary = binary(daemon, subject.runtime)?;
        let shim = Command::new(&binary)
            .args(["-namespace", &daemon.scope.namespace, "-id", name, "-publish-binary", "/bin/true"])
            .arg("-address")
            .arg(daemon.socket())
            .arg("start")
            .env("TTRPC_ADDRESS", daemon.scope.dir.join("t.sock"))
            .env(MARK, &daemon.scope.tag)
            .current_dir(bundle)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let printed = String::from_utf8_lossy(&shim.stdout).trim().to_owned();
        ensure!(printed.starts_with("unix://"), "{} printed {printed:?}", binary.display());
        Ok(Self { daemon, name, spec, address: printed, _log: log })
    }

    /// How many tasks per second `clients` create and delete, one at a time each.
    ///
    /// # Errors
    /// The shim's error.
    pub fn rate(&self, clients: usize, tasks: usize) -> Result<f64> {
        let work = |client: usize| {
            let name = format!("{}-{client}", self.name);
            let bundle = bundle(self.daemon, &self.spec, &name)?;
            let shim = Client::connect(&self.address)?;
            (0..tasks / clients).try_for_each(|_| one(&shim, &name, &bundle))
        };
        let begin = Instant::now();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..clients).map(|client| scope.spawn(move || work(client))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => bail!("a client panicked"),
            })
        })?;
        Ok((tasks / clients * clients) as f64 / begin.elapsed().as_secs_f64())
    }

    /// Ends the daemon.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn stop(self) -> Result<()> {
        let shim = Client::connect(&self.address)?;
        let request = ShutdownRequest { id: self.name.into(), ..ShutdownRequest::default() };
        // It may end before it answers.
        drop(ask::<Empty>(&shim, "Shutdown", &request));
        Ok(())
    }
}

fn one(shim: &Client, id: &str, bundle: &Path) -> Result<()> {
    let id = || id.to_owned();
    let bundle = bundle.display().to_string();
    let create = CreateTaskRequest { id: id(), bundle, ..CreateTaskRequest::default() };
    ask::<CreateTaskResponse>(shim, "Create", &create)?;
    ask::<StartResponse>(shim, "Start", &StartRequest { id: id(), ..StartRequest::default() })?;
    let ended: WaitResponse = ask(shim, "Wait", &WaitRequest { id: id(), ..WaitRequest::default() })?;
    ensure!(ended.exit_status == 0, "it ended with status {}", ended.exit_status);
    ask::<DeleteResponse>(shim, "Delete", &DeleteRequest { id: id(), ..DeleteRequest::default() })?;
    Ok(())
}

/// Calls a method by the older name of the service, which every shim supports.
fn ask<T: Message>(shim: &Client, method: &str, request: &impl Message) -> Result<T> {
    const TIMEOUT: i64 = 20_000_000_000;
    let request = Request {
        service: "containerd.task.v2.Task".into(),
        method: method.into(),
        timeout_nano: TIMEOUT,
        payload: request.write_to_bytes()?,
        ..Request::default()
    };
    let answer = shim.request(request).with_context(|| format!("{method} failed"))?;
    Ok(T::parse_from_bytes(&answer.payload)?)
}

/// Makes a bundle directory with the spec of the container `name`.
fn bundle(daemon: &Containerd, spec: &Value, name: &str) -> Result<PathBuf> {
    let dir = daemon.scope.dir.join("tmp").join(name);
    fs::create_dir_all(&dir)?;
    let mut spec = spec.clone();
    spec["linux"]["cgroupsPath"] = json!(daemon.shim.driver.path(&daemon.scope.tag, name));
    fs::write(dir.join("config.json"), spec.to_string())?;
    Ok(dir)
}

/// The shim's program, found as containerd finds it: by the runtime's name.
fn binary(daemon: &Containerd, runtime: &str) -> Result<PathBuf> {
    let parts: Vec<&str> = runtime.rsplit('.').collect();
    let [version, name, ..] = parts[..] else { bail!("{runtime} is no runtime") };
    let file = format!("containerd-shim-{name}-{version}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = [daemon.scope.dir.join("bin"), daemon.install.bin.clone()];
    let mut all = ours.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join(&file));
    all.find(|file| file.exists()).with_context(|| format!("there is no {file}"))
}
