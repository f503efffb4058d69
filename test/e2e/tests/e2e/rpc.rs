//! The daemon's responses to requests that containerd's own clients never send, or send only in a race: status
//! codes that containerd's code depends on.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use containerd_shim_protos::api::*;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::runner::Scenario;
use e2e::shim::{Shim, refused};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use ttrpc::Code;
use ttrpc::context::with_timeout;

use crate::lifecycle::both;

const SECOND: i64 = 1_000_000_000;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(ours("rpc-refusals", refusals));
    scenarios.extend(ours("rpc-update", update));
    scenarios.extend(ours("rpc-exec", exec));
    scenarios.extend(ours("rpc-stdin", stdin));
    scenarios.extend(ours("rpc-output", output));
    scenarios
}

/// Only for our shim: runc's has other messages.
fn ours(name: &str, check: fn(&Containerd, Guest) -> Result<()>) -> Vec<Scenario> {
    both(name, check).into_iter().map(|scenario| Scenario { ours: true, ..scenario }).collect()
}

fn in_time() -> ttrpc::context::Context {
    with_timeout(10 * SECOND)
}

fn refusals(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("asked").args(guest.ready()).detach()?;
    let Shim { tasks } = daemon.connect("asked")?;
    let id = || "asked".to_owned();
    let state = |id: &str| tasks.state(in_time(), &StateRequest { id: id.into(), ..StateRequest::default() });
    refused(state("no-such-task"), Code::NOT_FOUND, "no-such-task")?;
    let create = CreateTaskRequest { id: id(), bundle: "/nowhere".into(), ..CreateTaskRequest::default() };
    refused(tasks.create(in_time(), &create), Code::ALREADY_EXISTS, "exists")?;
    let start = StartRequest { id: id(), ..StartRequest::default() };
    refused(tasks.start(in_time(), &start), Code::FAILED_PRECONDITION, "start in a running state")?;
    let delete = DeleteRequest { id: id(), ..DeleteRequest::default() };
    refused(tasks.delete(in_time(), &delete), Code::FAILED_PRECONDITION, "delete in a running state")?;
    let resume = ResumeRequest { id: id(), ..ResumeRequest::default() };
    refused(tasks.resume(in_time(), &resume), Code::FAILED_PRECONDITION, "resume in a running state")?;
    let checkpoint = CheckpointTaskRequest { id: id(), ..CheckpointTaskRequest::default() };
    refused(tasks.checkpoint(in_time(), &checkpoint), Code::UNIMPLEMENTED, "checkpoint")?;
    let exec_id = || "none".to_owned();
    let kill = KillRequest { id: id(), exec_id: exec_id(), signal: 9, ..KillRequest::default() };
    refused(tasks.kill(in_time(), &kill), Code::NOT_FOUND, "none")?;
    let kill = KillRequest { id: id(), signal: 999, ..KillRequest::default() };
    refused(tasks.kill(in_time(), &kill), Code::INVALID_ARGUMENT, "999")?;
    daemon.kill("asked", "SIGKILL", false)?;
    daemon.becomes("asked", "STOPPED")?;
    let kill = KillRequest { id: id(), signal: 9, ..KillRequest::default() };
    refused(tasks.kill(in_time(), &kill), Code::NOT_FOUND, "process already finished")?;
    let pause = PauseRequest { id: id(), ..PauseRequest::default() };
    refused(tasks.pause(in_time(), &pause), Code::FAILED_PRECONDITION, "pause in a stopped state")?;
    daemon.delete_task("asked", 137)?;
    daemon.delete_container("asked")
}

/// An update changes the limits that it names and leaves the others.
fn update(daemon: &Containerd, guest: Guest) -> Result<()> {
    const MIB: u64 = 1 << 20;
    daemon.run("changed").flag("--memory-limit", &(64 * MIB).to_string()).args(guest.ready()).detach()?;
    let Shim { tasks } = daemon.connect("changed")?;
    let pid = daemon.task("changed")?.pid;
    let update = |resources: Value| -> Result<()> {
        let value = resources.to_string().into_bytes();
        let any = Any { type_url: "LinuxResources".into(), value, ..Any::default() };
        let resources = MessageField::some(any);
        let request = UpdateTaskRequest { id: "changed".into(), resources, ..UpdateTaskRequest::default() };
        tasks.update(in_time(), &request).map(drop).context("update")
    };
    let memory = || file(pid, "memory", "memory.limit_in_bytes", "memory.max");
    update(json!({ "memory": { "limit": 32 * MIB } }))?;
    ensure!(memory()? == (32 * MIB).to_string(), "memory {:?}", memory());
    update(json!({ "pids": { "limit": 77 } }))?;
    let pids = file(pid, "pids", "pids.max", "pids.max")?;
    ensure!(pids == "77" && memory()? == (32 * MIB).to_string(), "pids {pids:?}, memory {:?}", memory());
    update(json!({ "cpu": { "quota": 30_000, "period": 100_000 } }))?;
    let quota = file(pid, "cpu", "cpu.cfs_quota_us", "cpu.max")?;
    ensure!(quota == "30000" || quota == "30000 100000", "cpu {quota:?}");
    update(json!({ "cpu": { "cpus": "0" } }))?;
    let cpus = file(pid, "cpuset", "cpuset.cpus", "cpuset.cpus")?;
    ensure!(cpus == "0", "cpus {cpus:?}");
    update(json!({ "memory": { "limit": 128 * MIB } }))?;
    ensure!(memory()? == (128 * MIB).to_string(), "memory {:?}", memory());
    daemon.kill_and_delete("changed")
}

fn file(pid: i32, controller: &str, v1: &str, v2: &str) -> Result<String> {
    let path = match kernel::cgroup(pid, controller) {
        Ok(dir) => dir.join(v1),
        Err(_) => kernel::cgroup(pid, "")?.join(v2),
    };
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.trim().to_owned())
}

/// An exec's life cycle: its id is unique, it waits for Start, and can be deleted before.
fn exec(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let Shim { tasks } = daemon.connect("host")?;
    let process = json!({ "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": guest.hello() });
    let out = daemon.scope.dir.join("log").join(format!("rpc-exec-{}", guest.word()));
    let request = |exec_id: &str, process: &Value| ExecProcessRequest {
        id: "host".into(),
        exec_id: exec_id.into(),
        stdout: uri(&out),
        spec: MessageField::some(Any { value: process.to_string().into_bytes(), ..Any::default() }),
        ..ExecProcessRequest::default()
    };
    let named = |exec_id: &str| (String::from("host"), exec_id.to_owned());
    tasks.exec(in_time(), &request("one", &process))?;
    refused(tasks.exec(in_time(), &request("one", &process)), Code::ALREADY_EXISTS, "one")?;
    refused(tasks.exec(in_time(), &request("bad", &json!([]))), Code::UNKNOWN, "process")?;
    let (id, exec_id) = named("one");
    let state = tasks.state(in_time(), &StateRequest { id, exec_id, ..StateRequest::default() })?;
    ensure!(state.status.enum_value() == Ok(Status::CREATED) && state.pid == 0, "{state:?}");
    let (id, exec_id) = named("one");
    tasks.start(in_time(), &StartRequest { id, exec_id, ..StartRequest::default() })?;
    let (id, exec_id) = named("one");
    let ended = tasks.wait(in_time(), &WaitRequest { id, exec_id, ..WaitRequest::default() })?;
    ensure!(ended.exit_status == 0 && ended.exited_at.is_some(), "{ended:?}");
    ensure!(std::fs::read_to_string(&out)? == "hello\n", "{:?}", std::fs::read_to_string(&out));
    let delete = |exec_id: &str| {
        let (id, exec_id) = named(exec_id);
        tasks.delete(in_time(), &DeleteRequest { id, exec_id, ..DeleteRequest::default() })
    };
    ensure!(delete("one")?.exit_status == 0, "the exec's exit status is lost");
    refused(delete("one"), Code::NOT_FOUND, "one")?;
    tasks.exec(in_time(), &request("never", &process))?;
    delete("never")?;
    daemon.kill_and_delete("host")
}

/// A client with short input may close stdin before the process has started.
fn stdin(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let Shim { tasks } = daemon.connect("host")?;
    let cat = match guest {
        Guest::Wasm => "/guests/cat.wasm",
        Guest::Native => "/bin/cat",
    };
    let (id, exec_id) = (|| String::from("host"), || String::from("short"));
    let out = daemon.scope.dir.join("log").join(format!("rpc-stdin-{}", guest.word()));
    let input = daemon.scope.dir.join("fifo").join(format!("rpc-stdin-{}", guest.word()));
    mkfifo(&input, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // Opened for both, so that open() does not block.
    let mut client = File::options().read(true).write(true).open(&input)?;
    client.write_all(b"short\n")?;
    let process = json!({ "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": [cat] });
    let spec = MessageField::some(Any { value: process.to_string().into_bytes(), ..Any::default() });
    let stdin = input.display().to_string();
    let request = ExecProcessRequest {
        id: id(),
        exec_id: exec_id(),
        stdin,
        stdout: uri(&out),
        spec,
        ..Default::default()
    };
    tasks.exec(in_time(), &request)?;
    tasks.close_io(
        in_time(),
        &CloseIORequest { id: id(), exec_id: exec_id(), stdin: true, ..Default::default() },
    )?;
    tasks.start(in_time(), &StartRequest { id: id(), exec_id: exec_id(), ..Default::default() })?;
    drop(client);
    let ended = tasks.wait(in_time(), &WaitRequest { id: id(), exec_id: exec_id(), ..Default::default() })?;
    let written = std::fs::read_to_string(&out)?;
    ensure!(ended.exit_status == 0 && written == "short\n", "it ended with {ended:?} and wrote {written:?}");
    tasks.delete(in_time(), &DeleteRequest { id: id(), exec_id: exec_id(), ..Default::default() })?;
    daemon.kill_and_delete("host")
}

/// The exit of a process is reported only once its client reads the output: before, the client could drop a pipe that
/// it has not opened yet.
fn output(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let Shim { tasks } = daemon.connect("host")?;
    let (id, exec_id) = (|| String::from("host"), || String::from("written"));
    let fifo = daemon.scope.dir.join("fifo").join(format!("rpc-output-{}", guest.word()));
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let mut reader = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo)?;
    let process = json!({ "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": guest.hello() });
    let spec = MessageField::some(Any { value: process.to_string().into_bytes(), ..Any::default() });
    let stdout = fifo.display().to_string();
    tasks.exec(
        in_time(),
        &ExecProcessRequest { id: id(), exec_id: exec_id(), stdout, spec, ..Default::default() },
    )?;
    tasks.start(in_time(), &StartRequest { id: id(), exec_id: exec_id(), ..Default::default() })?;
    let wait = WaitRequest { id: id(), exec_id: exec_id(), ..Default::default() };
    let early = tasks.wait(with_timeout(SECOND / 2), &wait);
    ensure!(early.is_err(), "with its output unread it ended with {early:?}");
    let mut written = [0; 5];
    reader.read_exact(&mut written)?;
    ensure!(written == *b"hello", "it wrote {written:?}");
    let ended = tasks.wait(in_time(), &wait)?;
    ensure!(ended.exit_status == 0, "it ended with {ended:?}");
    tasks.delete(in_time(), &DeleteRequest { id: id(), exec_id: exec_id(), ..Default::default() })?;
    daemon.kill_and_delete("host")
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}
