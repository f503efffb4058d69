//! Rejects HTTP/1 requests that have both `Content-Length` and `Transfer-Encoding`, against request smuggling.
//!
//! A proxy in front may use the one length where we use the other, and then takes the rest of a body for the next
//! request. hyper accepts such a head: it uses `Transfer-Encoding`, removes `Content-Length`, and closes the connection
//! after the response, as RFC 9112, 6.3 allows. So the head is only visible in the raw bytes. This module scans them on
//! their way to hyper, and replaces the newline that ends such a head by a NUL byte, which hyper answers with 400.

use std::mem;

/// The position of a connection in its client's bytes.
#[derive(Debug, Default)]
pub struct Framing {
    at: At,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
}

#[derive(Debug)]
enum At {
    /// In a head.
    Head(Head),
    /// Bytes left of a body.
    Body(u64),
    /// At the line with a chunk's size.
    Size,
    /// Bytes left of a chunk.
    Chunk(u64),
    /// At the line end after a chunk.
    ChunkEnd,
    /// After the last chunk.
    Trailers,
    /// Not HTTP/1, or not valid: left to hyper.
    Unknown,
}

/// The part of a head that was scanned.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    encoded: bool,
}

/// Scanning stops at a longer line: no head may have one.
const LONGEST: usize = 1 << 20;

impl Default for At {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Framing {
    /// Scans `bytes`, which arrived next, and invalidates a head with two lengths.
    pub fn read(&mut self, bytes: &mut [u8]) {
        let mut next = 0;
        while next < bytes.len() {
            match &mut self.at {
                At::Unknown => return,
                At::Body(left) | At::Chunk(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - next);
                    next += here;
                    *left -= here as u64;
                    if *left == 0 {
                        self.at = if let At::Body(_) = self.at { At::default() } else { At::ChunkEnd };
                    }
                }
                _ => {
                    let Some(length) = bytes[next..].iter().position(|byte| *byte == b'\n') else {
                        return self.keep(&bytes[next..]);
                    };
                    let spoils = self.whole_line(&bytes[next..next + length]);
                    next += length;
                    if spoils {
                        bytes[next] = 0;
                    }
                    next += 1;
                }
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > LONGEST {
            *self = Self { at: At::Unknown, line: Vec::new() };
        } else {
            self.line.extend_from_slice(part);
        }
    }

    /// Takes the `rest` of a line. Returns whether it ends a head with two lengths.
    fn whole_line(&mut self, rest: &[u8]) -> bool {
        if self.line.is_empty() {
            return self.line_is(rest);
        }
        let mut line = mem::take(&mut self.line);
        line.extend_from_slice(rest);
        self.line_is(&line)
    }

    fn line_is(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.at = match mem::replace(&mut self.at, At::Unknown) {
            At::Head(head) if line.is_empty() && head.begun => {
                if head.encoded && head.length.is_some() {
                    return true;
                }
                head.body()
            }
            At::Head(head) => head.with(line),
            At::Size => match size(line) {
                Some(0) => At::Trailers,
                Some(size) => At::Chunk(size),
                None => At::Unknown,
            },
            At::ChunkEnd if line.is_empty() => At::Size,
            At::Trailers if line.is_empty() => At::default(),
            At::Trailers => At::Trailers,
            At::ChunkEnd | At::Body(_) | At::Chunk(_) | At::Unknown => At::Unknown,
        };
        false
    }
}

impl Head {
    /// Adds one line.
    fn with(mut self, line: &[u8]) -> At {
        if !self.begun {
            // Empty lines before a request are skipped.
            self.begun = !line.is_empty();
            return if line.starts_with(b"PRI * HTTP/2") { At::Unknown } else { At::Head(self) };
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (line[..colon].trim_ascii(), line.get(colon + 1..).unwrap_or_default());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encoded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // hyper rejects what is no number.
            self.length = Some(number(value.trim_ascii(), 10).unwrap_or(u64::MAX));
        }
        At::Head(self)
    }

    /// What follows the head.
    fn body(self) -> At {
        match self.length {
            _ if self.encoded => At::Size,
            None | Some(0) => At::default(),
            Some(length) => At::Body(length),
        }
    }
}

/// The size of a chunk, without chunk extensions.
fn size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| b"; \t".contains(byte)).unwrap_or(line.len());
    number(&line[..end], 16)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text =
        str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is passed on of `bytes` that arrive in pieces of this length.
    fn passed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut framing = Framing::default();
        let mut bytes = bytes.to_vec();
        bytes.chunks_mut(piece).for_each(|piece| framing.read(piece));
        bytes
    }

    const BOTH: &str = "POST / HTTP/1.1\r\ncontent-length: 3\r\nTRANSFER-ENCODING: chunked\r\n\r\n";
    const TURNED: &str = "POST / HTTP/1.1\nTransfer-Encoding : chunked\nHost: a\nContent-Length:3\n\n";

    #[test]
    fn one_length_is_passed_on_and_two_are_not() {
        let fine = [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 70\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n00a;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
        ];
        for piece in [1, 2, 7, 64, 4096] {
            let all = fine.concat();
            // In `all`, the body of the second is the third and a part of the fourth, whose rest is no request.
            for text in fine.iter().copied().chain([all.as_str()]) {
                assert_eq!(passed(text.as_bytes(), piece), text.as_bytes(), "{text:?} by {piece}");
            }
            let before = [fine[0], fine[2], fine[3]];
            for (before, bad) in before.into_iter().flat_map(|before| [(before, BOTH), (before, TURNED)]) {
                let text = format!("{before}{bad}rest");
                let mut expected = text.clone().into_bytes();
                expected[before.len() + bad.len() - 1] = 0;
                assert_eq!(passed(text.as_bytes(), piece), expected, "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn bodies_and_other_protocols_are_not_scanned() {
        let body = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{BOTH}", BOTH.len());
        let chunk = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{BOTH}\r\n0\r\n\r\n",
            BOTH.len()
        );
        let two = format!("PRI * HTTP/2.0\r\n\r\n{BOTH}");
        for text in [body, chunk, two] {
            assert_eq!(passed(text.as_bytes(), 5), text.as_bytes(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned_alike_whole_and_in_pieces(
            parts in prop::collection::vec(prop_oneof![
                Just(BOTH.as_bytes().to_vec()),
                Just(b"POST / HTTP/1.1\r\n".to_vec()),
                Just(b"Transfer-Encoding: chunked\r\n\r\n".to_vec()),
                Just(b"5\r\nabcde\r\n0\r\n\r\n".to_vec()),
                prop::collection::vec(any::<u8>(), 0..20),
            ], 0..6),
            piece in 1_usize..40,
        ) {
            let bytes = parts.concat();
            prop_assert_eq!(passed(&bytes, piece), passed(&bytes, bytes.len().max(1)));
        }
    }
}
