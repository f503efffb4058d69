//! One raw connection: a test writes any bytes, and reads answers whole or in parts.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};

/// A connection to a server of HTTP/1.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

/// An answer, or its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The trailers of a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Wire {
    /// On `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.get_mut().write_all(bytes.as_ref())?)
    }

    /// Sends a request for `path`.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn asks(&mut self, path: &str) -> Result<()> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// Sends a request, `GET /` or `POST /path`, with this body.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn sends(&mut self, what: &str, body: &str) -> Result<()> {
        self.send(format!("{what} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// Sends the same, and reads the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn ask(&mut self, what: &str, body: &str) -> Result<Answer> {
        self.sends(what, body)?;
        self.answer().with_context(|| what.to_owned())
    }

    /// Sends the head of a request with a chunked body.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn posts(&mut self, path: &str) -> Result<()> {
        self.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"))
    }

    /// Sends one chunk; an empty one is the last.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn sends_chunk(&mut self, text: &str) -> Result<()> {
        self.send(format!("{:x}\r\n{text}\r\n", text.len()))
    }

    /// Closes the sending side; reading goes on.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn shut(&mut self) -> Result<()> {
        Ok(self.stream.get_mut().shutdown(Shutdown::Write)?)
    }

    /// Whether something can be read, or the connection has ended.
    ///
    /// # Errors
    /// When the kernel cannot report it.
    pub fn ready(&mut self) -> Result<bool> {
        self.stream.get_ref().set_nonblocking(true)?;
        let read = self.stream.fill_buf().map(|_| ());
        self.stream.get_ref().set_nonblocking(false)?;
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            // The next read returns what it is.
            _ => Ok(true),
        }
    }

    /// Reads an answer to its end.
    ///
    /// # Errors
    /// When it is malformed or truncated.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend(chunk);
            }
            answer.trailers = self.fields()?;
        } else if let Some(length) = answer.header("content-length") {
            answer.body.resize(length.parse()?, 0);
            self.stream.read_exact(&mut answer.body)?;
        } else if answer.status >= 200 && answer.status != 204 && answer.status != 304 {
            answer.body = self.rest()?;
        }
        Ok(answer)
    }

    /// Reads an answer's head.
    ///
    /// # Errors
    /// When it is malformed or truncated.
    pub fn head(&mut self) -> Result<Answer> {
        let line = self.line().context("no answer")?;
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let status = status.with_context(|| format!("{line:?} begins no answer"))?;
        Ok(Answer { status, headers: self.fields()?, body: vec![], trailers: vec![] })
    }

    /// Reads one chunk of a body; `None` after the last, before the trailers.
    ///
    /// # Errors
    /// When the body is truncated.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let size = self.line().context("the body is cut")?;
        let mut chunk =
            vec![0; usize::from_str_radix(&size, 16).with_context(|| format!("chunk of {size:?}"))?];
        if chunk.is_empty() {
            return Ok(None);
        }
        self.stream.read_exact(&mut chunk).context("the chunk is cut")?;
        ensure!(self.line()?.is_empty(), "a chunk is longer than it says");
        Ok(Some(chunk))
    }

    /// Reads to the end of the connection, however it ends.
    ///
    /// # Errors
    /// When it does not end.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if ![ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind()) => {
                Err(error).context("the connection does not end")
            }
            _ => Ok(bytes),
        }
    }

    /// Waits for the end of the connection, before which no more bytes may come.
    ///
    /// # Errors
    /// When it does not end, or more comes.
    pub fn closed(&mut self) -> Result<()> {
        let rest = self.rest()?;
        ensure!(rest.is_empty(), "before the connection's end came {:?}", String::from_utf8_lossy(&rest));
        Ok(())
    }

    fn fields(&mut self) -> Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().context("the head is cut")?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').with_context(|| format!("{line:?} is no header"))?;
            fields.push((name.to_lowercase(), value.trim().into()));
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.into()),
            None => bail!("the connection ended after {line:?}"),
        }
    }
}

impl Answer {
    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// The answer, if its status is this one.
    ///
    /// # Errors
    /// Any other status.
    pub fn status(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "status {} instead of {status}: {:?}", self.status, self.text());
        Ok(self)
    }

    /// The answer, if its status and its body are these, a final newline aside.
    ///
    /// # Errors
    /// Any other answer.
    pub fn is(self, status: u16, body: &str) -> Result<Self> {
        let answer = self.status(status)?;
        let text = answer.text();
        ensure!(text.strip_suffix('\n').unwrap_or(&text) == body, "{text:?} instead of {body:?}");
        Ok(answer)
    }

    /// The answer, if its body contains `part`.
    ///
    /// # Errors
    /// A body without it.
    pub fn says(self, part: &str) -> Result<Self> {
        ensure!(self.text().contains(part), "{:?} does not say {part:?}", self.text());
        Ok(self)
    }
}
