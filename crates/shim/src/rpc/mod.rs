//! containerd's Task API: one file per request that does something; here only who answers what.

mod create;
mod delete;
mod exit;
mod hooks;
mod kill;
mod look;
mod make_wasm;
mod options;
mod start;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api::*;
use containerd_shim_protos::shim_async::Task as TaskService;
use ttrpc::r#async::TtrpcContext;
use ttrpc::{Code, Error, Result, get_status};

use crate::daemon::Daemon;
use crate::task::{Refusal, Task};

/// The service, under whatever version's name it is registered.
pub struct TaskApi(pub Arc<Daemon>);

impl TaskApi {
    fn task(&self, id: &str, exec_id: &str) -> Result<Arc<Task>> {
        match (self.0.tasks.find(id), exec_id) {
            (Some(task), "") => Ok(task),
            (Some(_), exec_id) => {
                Err(status(Code::NOT_FOUND, format!("there is no exec {exec_id} in container {id}")))
            }
            (None, _) => Err(status(Code::NOT_FOUND, format!("there is no container {id} in this pod"))),
        }
    }

    /// Runs what must come to its end even if the client goes away in the middle.
    async fn to_the_end<T: Send + 'static>(
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let done = tokio::spawn(work).await;
        done.unwrap_or_else(|error| {
            Err(status(Code::INTERNAL, format!("the request failed inside the shim: {error}")))
        })
    }
}

#[async_trait]
impl TaskService for TaskApi {
    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
        Self::to_the_end(create::create(Arc::clone(&self.0), request)).await
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> Result<StartResponse> {
        let task = self.task(&request.id, &request.exec_id)?;
        Self::to_the_end(start::start(Arc::clone(&self.0), task)).await
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Result<Empty> {
        let task = self.task(&request.id, &request.exec_id)?;
        kill::kill(&task, request.signal, request.all)
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Result<DeleteResponse> {
        self.0.tasks.give_up(&request.id);
        let task = self.task(&request.id, &request.exec_id)?;
        Self::to_the_end(delete::delete(Arc::clone(&self.0), task)).await
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Result<WaitResponse> {
        look::wait(&*self.task(&request.id, &request.exec_id)?).await
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Result<StateResponse> {
        Ok(look::state(&*self.task(&request.id, &request.exec_id)?))
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Result<PidsResponse> {
        look::pids(&*self.task(&request.id, "")?)
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Result<ConnectResponse> {
        Ok(look::connect(self.0.tasks.find(&request.id).as_deref()))
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> Result<Empty> {
        let task = self.task(&request.id, &request.exec_id)?;
        if request.stdin {
            task.close_stdin();
        }
        Ok(Empty::new())
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> Result<Empty> {
        self.0.ask_to_shut_down();
        Ok(Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, _: PauseRequest) -> Result<Empty> {
        unimplemented("pause")
    }

    async fn resume(&self, _: &TtrpcContext, _: ResumeRequest) -> Result<Empty> {
        unimplemented("resume")
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: CheckpointTaskRequest) -> Result<Empty> {
        unimplemented("checkpoint")
    }

    async fn exec(&self, _: &TtrpcContext, _: ExecProcessRequest) -> Result<Empty> {
        unimplemented("exec")
    }

    async fn resize_pty(&self, _: &TtrpcContext, _: ResizePtyRequest) -> Result<Empty> {
        unimplemented("resize_pty")
    }

    async fn update(&self, _: &TtrpcContext, _: UpdateTaskRequest) -> Result<Empty> {
        unimplemented("update")
    }

    async fn stats(&self, _: &TtrpcContext, _: StatsRequest) -> Result<StatsResponse> {
        unimplemented("stats")
    }
}

fn unimplemented<T>(method: &str) -> Result<T> {
    Err(status(Code::UNIMPLEMENTED, format!("this version of the Lighter shim does not serve {method}")))
}

fn status(code: Code, sentence: String) -> Error {
    Error::RpcStatus(get_status(code, sentence))
}

impl From<Refusal> for StatusOf {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Precondition(..) => Code::FAILED_PRECONDITION,
            Refusal::Finished | Refusal::Gone => Code::NOT_FOUND,
        };
        Self(status(code, refusal.to_string()))
    }
}

/// Anything that becomes the status of an RPC.
struct StatusOf(Error);

impl From<anyhow::Error> for StatusOf {
    fn from(error: anyhow::Error) -> Self {
        Self(status(Code::UNKNOWN, format!("{error:#}")))
    }
}

impl From<StatusOf> for Error {
    fn from(StatusOf(error): StatusOf) -> Self {
        error
    }
}
