//! Forwards events to containerd from a queue: in order, each retried until it arrived, without blocking any caller.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use containerd_shim_protos::api::{Empty, ForwardRequest};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::protobuf::{MessageDyn, MessageField};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::topics;
use tokio::sync::{mpsc, oneshot};
use ttrpc::context::with_timeout;

use crate::environment::EVENTS;

/// The timeout of one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The pause before the next attempt.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a daemon that shuts down tries to deliver the rest.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The sending end of the queue.
#[derive(Clone)]
pub struct Events {
    namespace: String,
    queue: mpsc::UnboundedSender<Item>,
}

enum Item {
    Event(Box<Envelope>),
    Flush(oneshot::Sender<()>),
}

impl Events {
    /// Starts the queue to the containerd that the environment names.
    pub fn to_containerd(namespace: String) -> Self {
        let (queue, items) = mpsc::unbounded_channel();
        let address = std::env::var(EVENTS).unwrap_or_default();
        tokio::spawn(deliver(address, items));
        Self { namespace, queue }
    }

    /// Queues one event. Its topic follows from its type.
    pub fn publish(&self, event: &dyn MessageDyn) {
        let name = event.descriptor_dyn().full_name().to_owned();
        let Some(topic) = topic_of(&name) else { return log::error!("no topic for the event {name}") };
        let value = match event.write_to_bytes_dyn() {
            Ok(value) => value,
            Err(error) => return log::error!("cannot encode the event {name}: {error}"),
        };
        let mut envelope = Envelope::new();
        envelope.topic = topic.to_owned();
        envelope.namespace.clone_from(&self.namespace);
        envelope.timestamp = MessageField::some(now());
        envelope.event = MessageField::some(Any { type_url: name, value, ..Any::default() });
        // The receiver lives as long as the runtime does.
        let _ = self.queue.send(Item::Event(Box::new(envelope)));
    }

    /// Waits until all queued events have arrived, two seconds at most.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).is_ok()
            && tokio::time::timeout(LAST_WORDS, flushed).await.is_err()
        {
            log::warn!("containerd does not take the last events");
        }
    }
}

/// The current time as a protobuf timestamp.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().cast_signed(),
        ..Timestamp::default()
    }
}

fn topic_of(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "TaskCreate" => topics::TASK_CREATE_EVENT_TOPIC,
        "TaskStart" => topics::TASK_START_EVENT_TOPIC,
        "TaskExit" => topics::TASK_EXIT_EVENT_TOPIC,
        "TaskDelete" => topics::TASK_DELETE_EVENT_TOPIC,
        "TaskExecAdded" => topics::TASK_EXEC_ADDED_EVENT_TOPIC,
        "TaskExecStarted" => topics::TASK_EXEC_STARTED_EVENT_TOPIC,
        "TaskOOM" => topics::TASK_OOM_EVENT_TOPIC,
        "TaskPaused" => topics::TASK_PAUSED_EVENT_TOPIC,
        "TaskResumed" => topics::TASK_RESUMED_EVENT_TOPIC,
        _ => return None,
    })
}

async fn deliver(address: String, mut items: mpsc::UnboundedReceiver<Item>) {
    // The connection, and whether it has delivered an event yet.
    let mut client = None;
    while let Some(item) = items.recv().await {
        match item {
            Item::Event(envelope) => {
                let request =
                    ForwardRequest { envelope: MessageField::some(*envelope), ..ForwardRequest::default() };
                while let Err(error) = attempt(&address, &mut client, &request).await {
                    if let ttrpc::Error::RpcStatus(status) = &error
                        && status.code() != ttrpc::Code::DEADLINE_EXCEEDED
                    {
                        // containerd received it and refused it: a retry would end the same and delay all others.
                        log::warn!("containerd refused an event: {}", status.message);
                        break;
                    }
                    log::debug!("containerd did not take an event: {error}");
                    // An older connection may lead to a containerd that is gone: reconnect at once.
                    let was_old = client.take().is_some_and(|(_, used)| used);
                    if !was_old {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            // This fails if the caller does not wait any more.
            Item::Flush(done) => drop(done.send(())),
        }
    }
}

async fn attempt(
    address: &str,
    client: &mut Option<(EventsClient, bool)>,
    request: &ForwardRequest,
) -> ttrpc::Result<Empty> {
    let (connected, used) = match client {
        Some(client) => client,
        None => {
            client.insert((EventsClient::new(Client::connect(&format!("unix://{address}")).await?), false))
        }
    };
    let timeout = i64::try_from(ATTEMPT.as_nanos()).unwrap_or(i64::MAX);
    let answer = connected.forward(with_timeout(timeout), request).await?;
    *used = true;
    Ok(answer)
}
