//! Formats the errors of libraries.

/// An error and its causes in one line, without repetitions.
pub(crate) fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let words = cause.to_string().replace('\n', " ");
        if !parts.last().is_some_and(|before| before.contains(&words)) {
            parts.push(words);
        }
        next = cause.source();
    }
    parts.join(": ")
}
