use std::{
    fmt::Display,
    io::{self, Write},
};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error, told in one line.
    Because(String),
    /// Whoever read standard output has read enough.
    ClosedPipe,
}

impl Failure {
    /// An error with this text, folded to one line.
    pub(crate) fn because(text: impl AsRef<str>) -> Self {
        let line: Vec<&str> = text.as_ref().split(char::is_control).filter(|part| !part.is_empty()).collect();
        Self::Because(line.join(" "))
    }

    /// An operation of the system that failed.
    pub(crate) fn io(what: impl Display, error: &io::Error) -> Self {
        Self::because(format!("{what}: {error}"))
    }

    /// A write to standard output that failed.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::io("cannot write to standard output", error),
        }
    }

    /// Tells the error on standard error, in one line.
    pub(crate) fn tell(&self) {
        if let Self::Because(line) = self {
            // Nobody is left to tell if standard error is closed, too.
            let _ = writeln!(io::stderr(), "error: {line}");
        }
    }

    /// A command line that cannot be understood: of what clap would say the first paragraph and the tips.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let mut lines = text.lines().map(str::trim);
        let first: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let tips: Vec<&str> = lines.filter(|line| line.starts_with("tip:")).collect();
        Self::because([first.join(" "), tips.join(" ")].join(" ").trim_end())
    }
}

impl From<cache::Error> for Failure {
    fn from(error: cache::Error) -> Self {
        Self::because(error.to_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_several_lines_is_folded_into_one() {
        let Failure::Because(line) = Failure::because("a\nb\r\n\tc\u{1b}[0m") else { panic!("not a line") };
        assert_eq!(line, "a b c [0m");
    }

    #[test]
    fn closed_pipe_is_no_error() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Failure::stdout(&closed), Failure::ClosedPipe));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(Failure::stdout(&full), Failure::Because(_)));
    }
}
