//! containerd's Task API: dispatches each request; every request that does something has a file of its own.

mod create;
mod delete;
mod exec;
mod kill;
mod look;
mod pause;
mod start;
mod stats;
mod status;
mod update;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api::*;
use containerd_shim_protos::shim_async::Task as TaskService;
use ttrpc::r#async::TtrpcContext;
use ttrpc::{Code, Result};

use status::{StatusOf, status};

use crate::daemon::Daemon;
use crate::task::{Process, Task};

/// The service; both versions of the API use it.
pub struct TaskApi(pub Arc<Daemon>);

impl TaskApi {
    fn task(&self, id: &str) -> Result<Arc<Task>> {
        let none = || status(Code::NOT_FOUND, format!("there is no container {id} in this pod"));
        self.0.tasks.find(id).ok_or_else(none)
    }

    fn process(&self, id: &str, exec_id: &str) -> Result<(Arc<Task>, Arc<Process>)> {
        let task = self.task(id)?;
        let none = || status(Code::NOT_FOUND, format!("there is no exec {exec_id} in container {id}"));
        let process = task.process(exec_id).ok_or_else(none)?;
        Ok((task, process))
    }

    /// Runs `work` to its end even if the client disconnects.
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
        let (task, process) = self.process(&request.id, &request.exec_id)?;
        let daemon = Arc::clone(&self.0);
        if process.is_first() {
            return Self::to_the_end(start::start(daemon, task)).await;
        }
        Self::to_the_end(exec::start(daemon, task, process)).await
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Result<Empty> {
        let (task, process) = self.process(&request.id, &request.exec_id)?;
        Self::to_the_end(kill::kill(task, process, request.signal, request.all)).await
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Result<DeleteResponse> {
        if request.exec_id.is_empty() {
            self.0.tasks.give_up(&request.id).await;
        }
        let (task, process) = self.process(&request.id, &request.exec_id)?;
        if process.is_first() {
            return Self::to_the_end(delete::delete(Arc::clone(&self.0), task)).await;
        }
        Self::to_the_end(async move { delete::delete_exec(&task, &process).await }).await
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Result<WaitResponse> {
        let (_, process) = self.process(&request.id, &request.exec_id)?;
        look::wait(&process).await
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Result<StateResponse> {
        let (task, process) = self.process(&request.id, &request.exec_id)?;
        Ok(look::state(&task, &process))
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Result<PidsResponse> {
        look::pids(&*self.task(&request.id)?).await
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Result<ConnectResponse> {
        Ok(look::connect(self.0.tasks.find(&request.id).as_deref()))
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> Result<Empty> {
        let (_, process) = self.process(&request.id, &request.exec_id)?;
        if request.stdin {
            process.close_stdin();
        }
        Ok(Empty::new())
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> Result<Empty> {
        self.0.ask_to_shut_down();
        Ok(Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        Self::to_the_end(pause::pause(Arc::clone(&self.0), task)).await
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        Self::to_the_end(pause::resume(Arc::clone(&self.0), task)).await
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        exec::add(&self.0, &task, request)
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> Result<Empty> {
        let (_, process) = self.process(&request.id, &request.exec_id)?;
        let resized = process.with_streams(|streams| match streams {
            Some(streams) => streams.resize(request.width, request.height),
            // As runc's shim: resizing before the start, or after the end, is no error.
            None => Ok(()),
        });
        resized.map(|()| Empty::new()).map_err(|error| StatusOf::from(error).into())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        Self::to_the_end(update::update(task, request)).await
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> Result<StatsResponse> {
        let task = self.task(&request.id)?;
        stats::stats(task).await
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> Result<Empty> {
        let sentence = format!(
            "cannot checkpoint container {}: the Lighter shim makes no checkpoints; stop the container and \
             start another from its image",
            request.id
        );
        Err(status(Code::UNIMPLEMENTED, sentence))
    }
}
