//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// How to call the program.
pub const USAGE: &str = "usage: pgquake-watchdog DIRECTORY --user USER [-- COMMAND ARGUMENT…]";

/// What the program is called with.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Where the file system with the device is mounted.
    pub directory: PathBuf,
    /// Who may open the device, beside root.
    pub user: String,
    /// What takes the host off the network, before everything is killed; empty: nothing does.
    pub command: Vec<OsString>,
}

/// Why they can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Too few, too many, or an unknown option.
    #[error("{USAGE}")]
    Usage,
}

impl Arguments {
    /// Reads them, without the program's name.
    ///
    /// # Errors
    /// Says how the program is called.
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let (mut directory, mut user) = (None, None);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--") => break,
                Some("--user") => user = arguments.next().and_then(|name| name.into_string().ok()),
                Some(option) if option.starts_with("--") => return Err(ArgumentError::Usage),
                _ if directory.is_some() => return Err(ArgumentError::Usage),
                _ => directory = Some(PathBuf::from(argument)),
            }
        }
        let (Some(directory), Some(user)) = (directory, user) else { return Err(ArgumentError::Usage) };
        Ok(Self { directory, user, command: arguments.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, ArgumentError> {
        Arguments::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn what_follows_the_dashes_is_the_command() {
        let arguments = parse("/dev/pgquake --user postgres -- nft -f x").unwrap();
        assert_eq!((arguments.directory, arguments.user.as_str()), ("/dev/pgquake".into(), "postgres"));
        assert_eq!(arguments.command, ["nft", "-f", "x"]);
        assert_eq!(parse("--user root /a").unwrap().command, [""; 0]);
    }

    #[test]
    fn a_call_that_says_too_little_or_too_much_is_refused() {
        for line in ["/a", "--user root", "/a --user", "/a /b --user root", "/a --user root --fast"] {
            assert_eq!(parse(line), Err(ArgumentError::Usage), "{line}");
        }
    }
}
