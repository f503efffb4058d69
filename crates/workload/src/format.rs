//! The format of a file, detected by its first bytes and never by its name.

use serde::{Deserialize, Serialize};

/// The formats of entrypoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// `\0asm`, version 1: a core module.
    Module,
    /// `\0asm`, layer 1: a component.
    Component,
    /// WebAssembly text: the first word after white space and comments is `(module` or `(component`.
    Text,
    /// A Linux program.
    Elf,
    /// A script with a `#!` line.
    Script,
}

impl Format {
    /// How many leading bytes [`Format::sniff`] needs.
    pub const HEAD: usize = 4096;

    /// Detects the format of a file that begins with `head`; `None` for one that the shim cannot run.
    pub fn sniff(head: &[u8]) -> Option<Self> {
        match head {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Some(Self::Module),
            [0, b'a', b's', b'm', _, 0, 1, 0, ..] => Some(Self::Component),
            [0x7f, b'E', b'L', b'F', ..] => Some(Self::Elf),
            [b'#', b'!', ..] => Some(Self::Script),
            _ => is_text(head).then_some(Self::Text),
        }
    }

    /// Whether an engine runs it, rather than the kernel.
    pub fn is_wasm(self) -> bool {
        matches!(self, Self::Module | Self::Component | Self::Text)
    }
}

fn is_text(head: &[u8]) -> bool {
    let word = after_comments(head);
    [&b"(module"[..], b"(component"].iter().any(|open| {
        word.strip_prefix(*open).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    })
}

/// `head` from its first byte that is neither white space nor part of a `;;` or `(; ;)` comment.
fn after_comments(mut head: &[u8]) -> &[u8] {
    loop {
        head = head.trim_ascii_start();
        let end = match head {
            [b';', b';', ..] => head.iter().position(|byte| *byte == b'\n'),
            [b'(', b';', ..] => head.windows(2).position(|pair| pair == b";)").map(|at| at + 2),
            _ => return head,
        };
        match end {
            Some(end) => head = &head[end..],
            None => return &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_format() {
        let check = |head: &[u8], expected| assert_eq!(Format::sniff(head), expected, "{head:?}");
        check(b"\0asm\x01\0\0\0", Some(Format::Module));
        check(b"\0asm\x0d\0\x01\0", Some(Format::Component));
        check(b"\x7fELF\x02", Some(Format::Elf));
        check(b"#!/bin/sh\n", Some(Format::Script));
        check(b"(module)", Some(Format::Text));
        check(b" ;; why\n(; and (\n ;)\n(component $c)", Some(Format::Text));
        check(b"(modules)", None);
        check(b";; only a comment", None);
        check(b"", None);
        check(b"\0asm\x02\0\0\0", None);
        check(b"hello", None);
    }
}
