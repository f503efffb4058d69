//! Dapr's HTTP API, as far as the stand-in has it: dispatches requests and builds the answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue, IF_MATCH};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::App;
use crate::bus::Bus;
use crate::flags::Flags;
use crate::http::{FullRequest, FullResponse, empty, json, refusal};
use crate::routes::Routes;
use crate::secrets::Secrets;
use crate::state::State;
use crate::system::log;

/// The names of the components, which daprd would read from a directory or from Kubernetes.
const STATE: &str = "statestore";
const SECRETS: &str = "secretstore";
const PUBSUB: &str = "pubsub";

/// Everything behind the API.
pub struct Api {
    flags: Flags,
    state: State,
    secrets: Secrets,
    bus: Bus,
    routes: Routes,
    extended: Mutex<BTreeMap<String, String>>,
    /// Whether the app listens and has returned its subscriptions.
    ready: watch::Sender<bool>,
    /// Whether a shutdown was requested.
    ended: watch::Sender<bool>,
}

impl Api {
    /// The API of a sidecar with these flags, before it has contacted its app.
    pub fn new(flags: Flags) -> Self {
        let bus = Bus::new(&flags.app_id);
        Self {
            flags,
            state: State::default(),
            secrets: Secrets::of_environment(),
            bus,
            routes: Routes::default(),
            extended: Mutex::default(),
            ready: watch::Sender::new(false),
            ended: watch::Sender::new(false),
        }
    }

    /// Waits for the app, requests its subscriptions, and becomes ready.
    ///
    /// # Errors
    /// When the app listens and does not answer.
    pub async fn meet_app(&self) -> Result<()> {
        if let Some(app) = self.app() {
            log(&format!("application protocol: http. waiting on port {}", app.0.port()));
            app.listens().await;
            log(&format!("application discovered on port {}", app.0.port()));
            let subscriptions = app.subscriptions().await?;
            let topics: Vec<&str> = subscriptions.iter().map(|one| one.topic.as_str()).collect();
            log(&format!("app is subscribed to the following topics: {topics:?} through pubsub={PUBSUB}"));
            self.bus.subscribe(subscriptions);
        }
        self.ready.send_replace(true);
        log("dapr initialized. Status: Running.");
        Ok(())
    }

    /// Waits until a request asks for a shutdown.
    pub async fn ended(&self) {
        // The sender is this API's own.
        drop(self.ended.subscribe().wait_for(|ended| *ended).await);
    }

    /// Answers a request on the port of the whole API.
    pub async fn answer(self: Arc<Self>, request: FullRequest) -> FullResponse {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        if let ["test", "routes"] = parts.as_slice() {
            return json(StatusCode::OK, &self.routes.json());
        }
        self.routes.note(&request);
        let method = request.method().as_str().to_owned();
        match (method.as_str(), parts.as_slice()) {
            (_, ["v1.0", "healthz" | "metadata", ..]) => self.public(&request),
            ("POST", ["v1.0", "shutdown"]) => {
                self.ended.send_replace(true);
                empty(StatusCode::NO_CONTENT)
            }
            (_, ["v1.0", "state", store, rest @ ..]) if *store == STATE => {
                self.state(&method, rest, &request)
            }
            (_, ["v1.0", "state", store, ..]) => unknown("ERR_STATE_STORE_NOT_FOUND", "state store", store),
            ("GET", ["v1.0", "secrets", store, key]) if *store == SECRETS => self.secret(key),
            (_, ["v1.0", "secrets", store, ..]) => {
                unknown("ERR_SECRET_STORE_NOT_FOUND", "secret store", store)
            }
            ("POST" | "PUT", ["v1.0", "publish", pubsub, topic]) if *pubsub == PUBSUB => {
                self.publish(topic, &request)
            }
            (_, ["v1.0", "publish", pubsub, ..]) => unknown("ERR_PUBSUB_NOT_FOUND", "pubsub", pubsub),
            (_, ["v1.0", "invoke", app, "method", rest @ ..]) => self.invoke(app, rest, request).await,
            _ => not_stood_in_for(&request),
        }
    }

    /// Answers a request on the public port: health and metadata, which the whole API has, too.
    pub fn public(&self, request: &FullRequest) -> FullResponse {
        let parts: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", ["v1.0", "healthz"]) if !*self.ready.borrow() => {
                let waits = "dapr is not ready: [app]";
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "ERR_HEALTH_NOT_READY", waits)
            }
            // Outbound calls need not wait for the app.
            ("GET", ["v1.0", "healthz"] | ["v1.0", "healthz", "outbound"]) => empty(StatusCode::NO_CONTENT),
            ("GET", ["v1.0", "metadata"]) => json(StatusCode::OK, &self.metadata()),
            ("PUT", ["v1.0", "metadata", key]) => {
                let value = String::from_utf8_lossy(request.body()).into_owned();
                let mut extended = self.extended.lock().unwrap_or_else(PoisonError::into_inner);
                extended.insert((*key).into(), value);
                empty(StatusCode::NO_CONTENT)
            }
            _ => not_stood_in_for(request),
        }
    }

    /// Records and answers a request on the public port.
    pub async fn answer_publicly(self: Arc<Self>, request: FullRequest) -> FullResponse {
        self.routes.note(&request);
        self.public(&request)
    }

    fn app(&self) -> Option<App> {
        self.flags.app_port.map(|port| App(SocketAddr::new(self.flags.app_address, port)))
    }

    fn metadata(&self) -> Value {
        let component = |name: &str, kind: &str| json!({ "name": name, "type": kind, "version": "v1" });
        let subscription = |one: crate::app::Subscription| {
            let rules = json!([{ "path": one.route() }]);
            json!({ "pubsubname": one.pubsubname, "topic": one.topic, "rules": rules, "type": "PROGRAMMATIC" })
        };
        json!({
            "id": self.flags.app_id,
            "runtimeVersion": "stand-in",
            "enabledFeatures": [],
            "components": [
                component(STATE, "state.in-memory"),
                component(SECRETS, "secretstores.local.file"),
                component(PUBSUB, "pubsub.in-memory"),
            ],
            "subscriptions": self.bus.subscriptions().into_iter().map(subscription).collect::<Value>(),
            "appConnectionProperties": {
                "port": self.flags.app_port,
                "protocol": "http",
                "channelAddress": self.flags.app_address.to_string(),
            },
            "extended": *self.extended.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn state(&self, method: &str, rest: &[&str], request: &FullRequest) -> FullResponse {
        let body = request.body();
        let done = |done: Result<()>| match done {
            Ok(()) => empty(StatusCode::NO_CONTENT),
            Err(error) => refusal(StatusCode::CONFLICT, "ERR_STATE_SAVE", &error.to_string()),
        };
        let malformed = |error: serde_json::Error| {
            refusal(StatusCode::BAD_REQUEST, "ERR_MALFORMED_REQUEST", &error.to_string())
        };
        match (method, rest) {
            ("POST" | "PUT", []) => {
                serde_json::from_slice(body).map_or_else(malformed, |entries| done(self.state.save(entries)))
            }
            ("POST" | "PUT", ["bulk"]) => {
                let keys = serde_json::from_slice::<Value>(body)
                    .and_then(|mut asked| serde_json::from_value::<Vec<String>>(asked["keys"].take()));
                keys.map_or_else(malformed, |keys| json(StatusCode::OK, &self.state.bulk(&keys)))
            }
            ("POST" | "PUT", ["transaction"]) => {
                let steps = serde_json::from_slice::<Value>(body)
                    .and_then(|mut asked| serde_json::from_value(asked["operations"].take()));
                steps.map_or_else(malformed, |steps| done(self.state.transact(steps)))
            }
            ("GET", [key]) => match self.state.get(key) {
                Some(kept) => {
                    let mut answer = json(StatusCode::OK, &kept.value);
                    // Our etags are numbers.
                    let etag = HeaderValue::try_from(kept.etag).unwrap_or(HeaderValue::from_static(""));
                    answer.headers_mut().insert(ETAG, etag);
                    answer
                }
                None => empty(StatusCode::NO_CONTENT),
            },
            ("DELETE", [key]) => {
                let etag = request.headers().get(IF_MATCH).and_then(|etag| etag.to_str().ok());
                done(self.state.delete(key, etag.map(Into::into)))
            }
            _ => not_stood_in_for(request),
        }
    }

    fn secret(&self, key: &str) -> FullResponse {
        let failed = |why: &str| refusal(StatusCode::INTERNAL_SERVER_ERROR, "ERR_SECRET_GET", why);
        let secrets = match self.secrets.read() {
            Ok(secrets) => secrets,
            Err(error) => return failed(&format!("{error:#}")),
        };
        if key == "bulk" {
            let all = secrets.iter().map(|(key, value)| (key.clone(), json!({ key: value })));
            return json(StatusCode::OK, &Value::Object(all.collect()));
        }
        match secrets.get(key) {
            Some(value) => json(StatusCode::OK, &json!({ key: value })),
            None => failed(&format!("secret {key} not found")),
        }
    }

    fn publish(self: Arc<Self>, topic: &str, request: &FullRequest) -> FullResponse {
        let event = match self.bus.event(PUBSUB, topic, request) {
            Ok(event) => event,
            Err(error) => {
                let why = format!("{error:#}");
                return refusal(StatusCode::BAD_REQUEST, "ERR_PUBSUB_CLOUD_EVENTS_SER", &why);
            }
        };
        if let Some(app) = self.app() {
            let api = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = api.bus.deliver(app, event).await {
                    log(&format!("a message was not delivered: {error:#}"));
                }
            });
        }
        empty(StatusCode::NO_CONTENT)
    }

    async fn invoke(&self, id: &str, rest: &[&str], request: FullRequest) -> FullResponse {
        let failed = |why: &str| {
            let why = format!("failed to invoke, id: {id}, err: {why}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "ERR_DIRECT_INVOKE", &why)
        };
        // daprd would look another app up in the cluster.
        let Some(app) = self.app().filter(|_| id == self.flags.app_id) else {
            return failed("the stand-in knows no app but its own");
        };
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("/{}{query}", rest.join("/"));
        app.call(request, &path).await.unwrap_or_else(|error| failed(&format!("{error:#}")))
    }
}

fn unknown(code: &str, what: &str, name: &str) -> FullResponse {
    refusal(StatusCode::NOT_FOUND, code, &format!("{what} {name} is not found"))
}

fn not_stood_in_for(request: &FullRequest) -> FullResponse {
    let why = format!("the stand-in has no {} {}", request.method(), request.uri().path());
    refusal(StatusCode::NOT_FOUND, "ERR_STAND_IN", &why)
}
