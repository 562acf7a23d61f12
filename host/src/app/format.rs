//! Formats errors for logs and responses.

/// Formats an error with its causes. Leaves out causes that are already part of the text.
pub fn format_error(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}
