//! The floor's tasks: each is an entry in a table that ends with 0 at Start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use containerd_shim_protos::api::*;
use containerd_shim_protos::events::task::{TaskCreate, TaskDelete, TaskExit, TaskStart};
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::shim_async::Task as TaskService;
use containerd_shim_protos::topics;
use tokio::sync::{Notify, watch};
use ttrpc::r#async::TtrpcContext;
use ttrpc::{Code, Error, Result, get_status};

use crate::events::Events;

/// The daemon's state.
pub struct Floor {
    pub events: Events,
    pub shutdown: Notify,
    tasks: Mutex<HashMap<String, Arc<Task>>>,
}

struct Task {
    request: CreateTaskRequest,
    /// When it ended; `None` before Start.
    end: watch::Sender<Option<Timestamp>>,
}

impl Floor {
    /// A daemon without tasks.
    pub fn new(events: Events) -> Self {
        Self { events, shutdown: Notify::new(), tasks: Mutex::default() }
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Task>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self, id: &str) -> Result<Arc<Task>> {
        let missing = || Error::RpcStatus(get_status(Code::NOT_FOUND, format!("there is no container {id}")));
        self.tasks().get(id).cloned().ok_or_else(missing)
    }
}

#[async_trait]
impl TaskService for Floor {
    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
        let task = Task { request: request.clone(), end: watch::Sender::new(None) };
        self.tasks().insert(request.id.clone(), Arc::new(task));
        let (container_id, bundle, rootfs) = (request.id, request.bundle, request.rootfs);
        let event = TaskCreate { container_id, bundle, rootfs, pid: pid(), ..TaskCreate::default() };
        self.events.publish(topics::TASK_CREATE_EVENT_TOPIC, &event);
        Ok(CreateTaskResponse { pid: pid(), ..CreateTaskResponse::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> Result<StartResponse> {
        let task = self.task(&request.id)?;
        let start = TaskStart { container_id: request.id.clone(), pid: pid(), ..TaskStart::default() };
        self.events.publish(topics::TASK_START_EVENT_TOPIC, &start);
        let end = now();
        let (container_id, id, exited_at) = (request.id.clone(), request.id, MessageField::some(end.clone()));
        let exit = TaskExit { container_id, id, pid: pid(), exited_at, ..TaskExit::default() };
        self.events.publish(topics::TASK_EXIT_EVENT_TOPIC, &exit);
        task.end.send_replace(Some(end));
        Ok(StartResponse { pid: pid(), ..StartResponse::default() })
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Result<WaitResponse> {
        let task = self.task(&request.id)?;
        let mut end = task.end.subscribe();
        // The sender lives in the task, which this request holds.
        let exited_at = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        Ok(WaitResponse { exited_at: exited_at.into(), ..WaitResponse::default() })
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Result<StateResponse> {
        let task = self.task(&request.id)?;
        let end = task.end.borrow().clone();
        Ok(StateResponse {
            id: request.id,
            bundle: task.request.bundle.clone(),
            pid: pid(),
            status: if end.is_some() { Status::STOPPED } else { Status::CREATED }.into(),
            stdin: task.request.stdin.clone(),
            stdout: task.request.stdout.clone(),
            stderr: task.request.stderr.clone(),
            exited_at: end.into(),
            ..StateResponse::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Result<Empty> {
        self.task(&request.id).map(|_| Empty::new())
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Result<PidsResponse> {
        self.task(&request.id)?;
        let processes = vec![ProcessInfo { pid: pid(), ..ProcessInfo::default() }];
        Ok(PidsResponse { processes, ..PidsResponse::default() })
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Result<DeleteResponse> {
        let task = self.task(&request.id)?;
        self.tasks().remove(&request.id);
        let exited_at: MessageField<_> = task.end.borrow().clone().into();
        let (container_id, exited) = (request.id, exited_at.clone());
        let event = TaskDelete { container_id, pid: pid(), exited_at: exited, ..TaskDelete::default() };
        self.events.publish(topics::TASK_DELETE_EVENT_TOPIC, &event);
        Ok(DeleteResponse { pid: pid(), exited_at, ..DeleteResponse::default() })
    }

    async fn connect(&self, _: &TtrpcContext, _: ConnectRequest) -> Result<ConnectResponse> {
        Ok(ConnectResponse { shim_pid: pid(), task_pid: pid(), ..ConnectResponse::default() })
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> Result<Empty> {
        if self.tasks().is_empty() {
            self.shutdown.notify_one();
        }
        Ok(Empty::new())
    }
}

/// A task has no process; the daemon's own id stands for it.
fn pid() -> u32 {
    std::process::id()
}

/// The current time in protobuf's form.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().cast_signed(),
        ..Timestamp::default()
    }
}
