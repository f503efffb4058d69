//! Tasks straight on a shim's socket: what it does by itself, without containerd before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use containerd_shim_protos::api::{
    CreateTaskRequest, DeleteRequest, ShutdownRequest, StartRequest, WaitRequest,
};
use containerd_shim_protos::{Client, TaskClient};
use e2e::containerd::Containerd;
use serde_json::{Value, json};
use ttrpc::context::{Context, with_timeout};

use crate::subject::Subject;

/// The daemon of one shim, started as containerd starts it.
pub struct Pod<'a> {
    daemon: &'a Containerd,
    subject: &'a Subject,
    spec: Value,
    address: String,
}

impl<'a> Pod<'a> {
    /// Has the shim's `start` make a daemon.
    ///
    /// # Errors
    /// What the shim said.
    pub fn start(daemon: &'a Containerd, subject: &'a Subject) -> Result<Self> {
        let spec = daemon.default_spec("bench", subject.args)?;
        let mut pod = Self { daemon, subject, spec, address: String::new() };
        let bundle = pod.bundle("first")?;
        let binary = pod.binary()?;
        let shim = Command::new(&binary)
            .args(["-namespace", &daemon.scope.namespace, "-id", "first", "-publish-binary", "/bin/true"])
            .arg("-address")
            .arg(daemon.socket())
            .arg("start")
            .env("TTRPC_ADDRESS", daemon.scope.dir.join("t.sock"))
            .current_dir(bundle)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let said = String::from_utf8_lossy(&shim.stdout);
        let address = said.trim().strip_prefix("unix://").map(ToOwned::to_owned);
        let Some(address) = address else { bail!("{} said {said:?}", binary.display()) };
        pod.address = address;
        Ok(pod)
    }

    /// How many tasks a second come and go when `clients` have one at a time each.
    ///
    /// # Errors
    /// What the shim answered.
    pub fn rate(&self, clients: usize, tasks: usize) -> Result<f64> {
        let begin = Instant::now();
        let work = |client: usize| {
            let name = format!("c{client}");
            let bundle = self.bundle(&name)?;
            let shim = TaskClient::new(Client::connect(&format!("unix://{}", self.address))?);
            (0..tasks / clients).try_for_each(|_| one(&shim, &name, &bundle))
        };
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
        let shim = TaskClient::new(Client::connect(&format!("unix://{}", self.address))?);
        let request = ShutdownRequest { id: "first".into(), ..ShutdownRequest::default() };
        // It may be gone before its answer is.
        drop(shim.shutdown(in_time(), &request));
        Ok(())
    }

    fn bundle(&self, name: &str) -> Result<PathBuf> {
        let folder =
            self.daemon.scope.dir.join("tmp").join(format!("bundle-{}-{name}", self.subject.runtime));
        fs::create_dir_all(&folder)?;
        let mut spec = self.spec.clone();
        spec["linux"]["cgroupsPath"] = json!(self.daemon.shim.driver.path(&self.daemon.scope.tag, name));
        fs::write(folder.join("config.json"), spec.to_string())?;
        Ok(folder)
    }

    /// As containerd finds it: by the runtime's name.
    fn binary(&self) -> Result<PathBuf> {
        let parts: Vec<&str> = self.subject.runtime.rsplit('.').collect();
        let [version, name, ..] = parts[..] else { bail!("{} is no runtime", self.subject.runtime) };
        let file = format!("containerd-shim-{name}-{version}");
        let own = self.daemon.scope.dir.join("bin").join(&file);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(own).chain([self.daemon.install.bin.join(&file)]);
        let mut all = all.chain(std::env::split_paths(&path).map(|folder| folder.join(&file)));
        all.find(|file| file.exists()).with_context(|| format!("there is no {file}"))
    }
}

fn in_time() -> Context {
    const SECOND: i64 = 1_000_000_000;
    with_timeout(20 * SECOND)
}

fn one(shim: &TaskClient, id: &str, bundle: &Path) -> Result<()> {
    let id = || id.to_owned();
    let bundle = bundle.display().to_string();
    shim.create(in_time(), &CreateTaskRequest { id: id(), bundle, ..CreateTaskRequest::default() })?;
    shim.start(in_time(), &StartRequest { id: id(), ..StartRequest::default() })?;
    let ended = shim.wait(in_time(), &WaitRequest { id: id(), ..WaitRequest::default() })?;
    ensure!(ended.exit_status == 0, "it ended with status {}", ended.exit_status);
    shim.delete(in_time(), &DeleteRequest { id: id(), ..DeleteRequest::default() })?;
    Ok(())
}
