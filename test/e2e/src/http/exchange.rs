//! HTTP/1.1 as the tests speak it: one request after the other, no trailers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow, bail};

/// One side of a connection.
pub struct Connection(BufReader<TcpStream>);

/// A message: its first line and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `GET / HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub line: String,
    /// The body.
    pub body: String,
}

impl Message {
    /// The status of an answer; 0 where there is none.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

impl Connection {
    /// Over this stream.
    pub fn over(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends a request, `GET /` or `POST /path`, and does not wait.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn request(&mut self, what: &str, body: &str) -> Result<()> {
        let length = body.len();
        let head = format!("{what} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        Ok(self.0.get_mut().write_all(format!("{head}{body}").as_bytes())?)
    }

    /// Sends a request and waits for the status and the body of its answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn ask(&mut self, what: &str, body: &str) -> Result<(u16, String)> {
        self.request(what, body)?;
        let answer = self.message().with_context(|| format!("the answer to {what}"))?;
        Ok((answer.status(), answer.body))
    }

    /// The next message.
    ///
    /// # Errors
    /// When the connection ends or breaks first.
    pub fn message(&mut self) -> Result<Message> {
        let (mut first, mut length, mut chunked) = (None, 0, false);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                bail!("the connection ended");
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                _ => {}
            }
            first.get_or_insert_with(|| line.to_owned());
        }
        let body = if chunked { self.chunks()? } else { self.bytes(length)? };
        Ok(Message { line: first.unwrap_or_default(), body: String::from_utf8(body)? })
    }

    /// Pieces, each behind a line with its length, up to an empty one.
    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let chunk = self.bytes(usize::from_str_radix(line.trim_end(), 16)?)?;
            self.bytes(b"\r\n".len())?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A server that takes some requests, each on a connection of its own.
pub struct Server(JoinHandle<Result<Vec<Message>>>);

impl Server {
    /// Answers so many requests that come to `listener` as `answer` says.
    pub fn start(
        listener: TcpListener,
        requests: usize,
        answer: impl Fn(&Message) -> (u16, String) + Send + 'static,
    ) -> Self {
        Self(thread::spawn(move || {
            let one = |nth: usize| {
                let (client, _) = listener.accept().with_context(|| format!("request {nth} did not come"))?;
                let mut client = Connection::over(client);
                let request = client.message()?;
                let (status, body) = answer(&request);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n");
                client.0.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
                Ok(request)
            };
            (1..=requests).map(one).collect()
        }))
    }

    /// The requests, once all have been answered.
    ///
    /// # Errors
    /// When one did not come.
    pub fn finish(self) -> Result<Vec<Message>> {
        self.0.join().unwrap_or_else(|_| Err(anyhow!("the server panicked")))
    }
}
