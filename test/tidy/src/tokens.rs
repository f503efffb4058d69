//! Rust as a flat list of words with their lines: no comments, and every literal is the same word.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A word or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The word; `""` for any literal.
    pub word: String,
    /// Its line, from 1.
    pub line: usize,
}

/// The tokens of `source`; none when it is not valid Rust, which the compiler reports better.
pub fn of(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    if let Ok(stream) = source.parse() {
        flatten(stream, &mut tokens);
    }
    tokens
}

/// The tokens before the module of a file's unit tests.
pub fn without_tests(tokens: &[Token]) -> &[Token] {
    let tests = tokens.windows(2).position(|pair| pair[0].word == "mod" && pair[1].word == "tests");
    &tokens[..tests.unwrap_or(tokens.len())]
}

/// The lines on which the words of `phrase` follow each other.
pub fn lines_of(tokens: &[Token], phrase: &[&str]) -> Vec<usize> {
    let same = |window: &&[Token]| window.iter().map(|token| token.word.as_str()).eq(phrase.iter().copied());
    tokens.windows(phrase.len()).filter(same).map(|window| window[0].line).collect()
}

fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
    for tree in stream {
        let mut push = |word: String, line| into.push(Token { word, line });
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(ident) => push(ident.to_string(), line),
            TokenTree::Punct(sign) => push(sign.as_char().into(), line),
            TokenTree::Literal(_) => push("\"\"".into(), line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                push(open.into(), line);
                flatten(group.stream(), into);
                into.push(Token { word: close.into(), line: group.span_close().start().line });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_words() {
        let tokens = of("// unsafe {\nfn f() { \"unsafe {\"; }\n\nfn g() { unsafe { h() } }\n");
        assert_eq!(lines_of(&tokens, &["unsafe", "{"]), [4]);
    }
}
