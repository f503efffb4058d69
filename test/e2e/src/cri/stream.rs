//! Streams through containerd's streaming server: exec, attach and port-forward, over a WebSocket
//! whose messages begin with the number of a channel (`v4.channel.k8s.io`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_cri::v1;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::error::ProtocolError;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message, WebSocket};

use super::Cri;
use super::container::Container;
use super::pod::Pod;
use crate::output::Output;
use crate::process::LIMIT;

/// The channels of a process; a forwarded port has 0 for its data and 1 for its errors.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// How long to wait for an answer before writing again.
const KNOCK: Duration = Duration::from_millis(500);

/// An open stream.
pub struct Stream {
    socket: WebSocket<TcpStream>,
    /// The bytes received on each channel.
    said: BTreeMap<u8, Vec<u8>>,
}

impl Container<'_> {
    /// Runs a program in it, with a stdin, and a terminal when `tty`.
    ///
    /// # Errors
    /// What containerd or its streaming server answered.
    pub fn exec_stream(&self, args: &[&str], tty: bool) -> Result<Stream> {
        let request = v1::ExecRequest {
            container_id: self.id.clone(),
            cmd: args.iter().map(|arg| arg.to_string()).collect(),
            tty,
            stdin: true,
            stdout: true,
            // A terminal has one output.
            stderr: !tty,
        };
        let cri = self.cri();
        Stream::open(cri, &cri.ask(|mut client| async move { client.exec(request).await })?.url)
    }

    /// Attaches to the streams of its first process.
    ///
    /// # Errors
    /// What containerd or its streaming server answered.
    pub fn attach(&self, stdin: bool, tty: bool) -> Result<Stream> {
        let request =
            v1::AttachRequest { container_id: self.id.clone(), stdin, tty, stdout: true, stderr: !tty };
        let cri = self.cri();
        Stream::open(cri, &cri.ask(|mut client| async move { client.attach(request).await })?.url)
    }
}

impl Pod<'_> {
    /// Connects to a port of its localhost.
    ///
    /// # Errors
    /// What containerd or its streaming server answered.
    pub fn forward(&self, port: u16) -> Result<Stream> {
        let request = v1::PortForwardRequest { pod_sandbox_id: self.id.clone(), port: vec![i32::from(port)] };
        let url = self.cri.ask(|mut client| async move { client.port_forward(request).await })?.url;
        let mut stream = Stream::open(self.cri, &url)?;
        // Each of the two channels begins with the port's number.
        stream
            .wait("the port's number", |stream| stream.bytes(0).len() >= 2 && stream.bytes(1).len() >= 2)?;
        for channel in [0, 1] {
            let number: Vec<u8> = stream.said.entry(channel).or_default().drain(..2).collect();
            ensure!(number == port.to_le_bytes(), "channel {channel} is of port {number:?}");
        }
        Ok(stream)
    }
}

impl Stream {
    fn open(cri: &Cri<'_>, url: &str) -> Result<Self> {
        let net = cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
        let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let address = address.with_context(|| format!("the address in {url:?}"))?;
        let socket = net.inside(|| Ok(TcpStream::connect(address)?)).with_context(|| url.to_string())?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut request = url.replacen("http", "ws", 1).into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("v4.channel.k8s.io"));
        let (socket, _) = tungstenite::client(request, socket).map_err(|error| anyhow!("{url}: {error}"))?;
        Ok(Self { socket, said: BTreeMap::new() })
    }

    /// Writes to its stdin, or to the forwarded port.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn feed(&mut self, text: &str) -> Result<()> {
        self.send(STDIN, text)
    }

    /// Writes `text` again and again until its stdout contains `answer`: containerd may pass input on to a container
    /// before it has attached the output.
    ///
    /// # Errors
    /// When it ends or takes too long without that output.
    pub fn knock(&mut self, text: &str, answer: &str) -> Result<()> {
        let end = Instant::now() + LIMIT;
        self.socket.get_ref().set_read_timeout(Some(KNOCK))?;
        while !self.text(STDOUT).contains(answer) {
            ensure!(Instant::now() < end, "no {answer:?}; its channels say {:?}", self.all());
            self.feed(text)?;
            let heard = self.wait(answer, |stream| stream.text(STDOUT).contains(answer));
            heard.or_else(|error| if is_late(&error) { Ok(()) } else { Err(error) })?;
        }
        Ok(self.socket.get_ref().set_read_timeout(Some(LIMIT))?)
    }

    /// Sets the terminal's size.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        self.send(RESIZE, &json!({ "Width": columns, "Height": rows }).to_string())
    }

    /// Waits until its stdout contains `text`.
    ///
    /// # Errors
    /// When it ends or takes too long without that output.
    pub fn says(&mut self, text: &str) -> Result<()> {
        self.wait(text, |stream| stream.text(STDOUT).contains(text))
    }

    /// Waits until the forwarded port has sent `text`.
    ///
    /// # Errors
    /// When it ends or takes too long without that output.
    pub fn answers(&mut self, text: &str) -> Result<()> {
        self.wait(text, |stream| stream.text(0).contains(text))
    }

    /// Waits for the process's end, as exec reports it.
    ///
    /// # Errors
    /// When the stream ends otherwise or takes too long.
    pub fn finish(mut self) -> Result<Output> {
        while self.read()? {}
        let code = code(&self.text(STATUS)).with_context(|| format!("its channels say {:?}", self.all()))?;
        Ok(Output { code, stdout: self.text(STDOUT), stderr: self.text(STDERR) })
    }

    fn send(&mut self, channel: u8, text: &str) -> Result<()> {
        let message = [&[channel], text.as_bytes()].concat();
        Ok(self.socket.send(Message::Binary(message.into()))?)
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        while !done(self) {
            match self.read() {
                Ok(true) => {}
                Ok(false) => bail!("it ended before {what:?}; its channels say {:?}", self.all()),
                Err(error) => {
                    return Err(error.context(format!("no {what:?}; its channels say {:?}", self.all())));
                }
            }
        }
        Ok(())
    }

    /// Reads one message; returns whether there was one.
    fn read(&mut self) -> Result<bool> {
        match self.socket.read() {
            Ok(Message::Binary(bytes)) => {
                let (channel, rest) = bytes.split_first().context("a message of no channel")?;
                self.said.entry(*channel).or_default().extend_from_slice(rest);
                Ok(true)
            }
            Ok(Message::Close(_))
            | Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                Ok(false)
            }
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn bytes(&self, channel: u8) -> &[u8] {
        self.said.get(&channel).map_or(&[], Vec::as_slice)
    }

    fn text(&self, channel: u8) -> String {
        String::from_utf8_lossy(self.bytes(channel)).into_owned()
    }

    fn all(&self) -> BTreeMap<u8, String> {
        self.said.keys().map(|channel| (*channel, self.text(*channel))).collect()
    }
}

/// Whether the read timed out.
fn is_late(error: &anyhow::Error) -> bool {
    let Some(Error::Io(error)) = error.downcast_ref() else { return false };
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The exit code in the server's final status, `{"status":"Success"}` or a failure with its cause.
fn code(status: &str) -> Result<i32> {
    let status: Value = serde_json::from_str(status).with_context(|| format!("the status {status:?}"))?;
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let code = causes.iter().find(|cause| cause["reason"] == "ExitCode");
    let code = code.and_then(|cause| cause["message"].as_str()?.parse().ok());
    code.with_context(|| format!("the process did not end: {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_exit_code() {
        assert_eq!(code(r#"{"status":"Success"}"#).unwrap(), 0);
        let failure = json!({ "status": "Failure", "details": { "causes": [{ "reason": "ExitCode", "message": "3" }] } });
        assert_eq!(code(&failure.to_string()).unwrap(), 3);
        assert!(code("{}").is_err());
    }
}
