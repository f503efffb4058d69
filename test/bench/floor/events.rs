//! The floor's events: in order, over one connection, without waiting for them. A floor whose events do not arrive
//! would be lower than any honest shim, so it ends instead.

use std::time::Duration;

use containerd_shim_protos::api::ForwardRequest;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageDyn, MessageField};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use tokio::sync::{mpsc, oneshot};
use ttrpc::context::with_duration;

use crate::task::now;

const LIMIT: Duration = Duration::from_secs(5);

/// The sending end of the queue.
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
        let address = std::env::var("TTRPC_ADDRESS").unwrap_or_default();
        tokio::spawn(async move {
            if deliver(&address, items).await.is_err() {
                std::process::exit(1);
            }
        });
        Self { namespace, queue }
    }

    /// Queues one event.
    pub fn publish(&self, topic: &str, event: &dyn MessageDyn) {
        let mut envelope = Envelope::new();
        envelope.topic = topic.to_owned();
        envelope.namespace.clone_from(&self.namespace);
        envelope.timestamp = MessageField::some(now());
        envelope.event = MessageField::some(Any {
            type_url: event.descriptor_dyn().full_name().to_owned(),
            value: event.write_to_bytes_dyn().unwrap_or_default(),
            ..Any::default()
        });
        // The receiver ends only with the process.
        let _ = self.queue.send(Item::Event(Box::new(envelope)));
    }

    /// Waits until what was queued has arrived.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).is_ok() {
            // It fails only when the process ends.
            let _ = flushed.await;
        }
    }
}

async fn deliver(address: &str, mut items: mpsc::UnboundedReceiver<Item>) -> ttrpc::Result<()> {
    let client = EventsClient::new(Client::connect(&format!("unix://{address}")).await?);
    while let Some(item) = items.recv().await {
        match item {
            Item::Event(envelope) => {
                let request =
                    ForwardRequest { envelope: MessageField::some(*envelope), ..ForwardRequest::default() };
                client.forward(with_duration(LIMIT), &request).await?;
            }
            // Fails only if the waiter is gone.
            Item::Flush(done) => drop(done.send(())),
        }
    }
    Ok(())
}
