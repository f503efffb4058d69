//! Errors of libraries as people read them.

/// An error and its causes in one line, each said once.
pub(crate) fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let words = cause.to_string().replace('\n', " ");
        if !said.last().is_some_and(|before| before.contains(&words)) {
            said.push(words);
        }
        next = cause.source();
    }
    said.join(": ")
}
