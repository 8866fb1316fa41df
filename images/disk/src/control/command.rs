//! The commands of the control port, one a line.

use std::time::Duration;

use crate::operation::Class;
use crate::prefix::Prefix;

/// What is allowed, for whoever asked for something else.
pub const ALLOWED: &str = "status | limit BYTES|used [PREFIX] | limit off | \
    delay read|write|sync|all MS [PREFIX] | delay off | throttle BYTES_PER_S | throttle off | stall [PREFIX] | \
    resume | fail read|write|sync|all [PREFIX] | fail off | drop | sync | off";

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Tell settings and counts.
    Status,
    /// The disk is full at so many bytes, or at what it has now.
    Limit(Option<u64>, Prefix),
    /// The limit ends.
    LimitOff,
    /// Operations take longer.
    Delay(Vec<Class>, Duration, Prefix),
    /// Delays end.
    DelayOff,
    /// Reads and syncs share so many bytes a second, or are free.
    Throttle(Option<u64>),
    /// Operations hang.
    Stall(Prefix),
    /// They go on.
    Resume,
    /// Operations get EIO.
    Fail(Vec<Class>, Prefix),
    /// Failures end.
    FailOff,
    /// What is unsynced is lost.
    Drop,
    /// What is unsynced is written back and synced.
    Sync,
    /// Every fault ends.
    Off,
}

/// Why a line is no command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Another word, or words missing or left over.
    #[error("failed to understand {line:?}: expected {ALLOWED}")]
    Unknown {
        /// The line.
        line: String,
    },
    /// A word that should be a number.
    #[error("failed to read {word:?}: expected a whole number of {unit}{more}")]
    Number {
        /// The word.
        word: String,
        /// What is counted.
        unit: &'static str,
        /// What else is possible.
        more: &'static str,
    },
    /// A prefix that leaves the disk.
    #[error("failed to read prefix {word:?}: expected a path below the mount point such as pg_wal")]
    Prefix {
        /// The word.
        word: String,
    },
}

impl Command {
    /// Reads one line.
    ///
    /// # Errors
    /// Says what is wrong, and what is allowed.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        Ok(match words.as_slice() {
            ["status"] => Self::Status,
            ["limit", "off"] => Self::LimitOff,
            ["limit", "used", rest @ ..] if rest.len() < 2 => Self::Limit(None, prefix(rest)?),
            ["limit", bytes, rest @ ..] if rest.len() < 2 => {
                Self::Limit(Some(number(bytes, "bytes", ", or used, or off")?), prefix(rest)?)
            }
            ["delay", "off"] => Self::DelayOff,
            ["delay", class @ ("read" | "write" | "sync" | "all"), milliseconds, rest @ ..] if rest.len() < 2 => {
                let delay = Duration::from_millis(number(milliseconds, "milliseconds", "")?);
                Self::Delay(classes(class), delay, prefix(rest)?)
            }
            ["throttle", "off"] => Self::Throttle(None),
            ["throttle", bytes] => {
                let bytes_per_s = number(bytes, "bytes a second above 0", ", or off")?;
                if bytes_per_s == 0 {
                    return Err(not_a_number(bytes, "bytes a second above 0", ", or off"));
                }
                Self::Throttle(Some(bytes_per_s))
            }
            ["stall", rest @ ..] if rest.len() < 2 => Self::Stall(prefix(rest)?),
            ["resume"] => Self::Resume,
            ["fail", "off"] => Self::FailOff,
            ["fail", class @ ("read" | "write" | "sync" | "all"), rest @ ..] if rest.len() < 2 => {
                Self::Fail(classes(class), prefix(rest)?)
            }
            ["drop"] => Self::Drop,
            ["sync"] => Self::Sync,
            ["off"] => Self::Off,
            _ => return Err(CommandError::Unknown { line: line.trim().to_owned() }),
        })
    }
}

fn classes(word: &str) -> Vec<Class> {
    Class::ALL.into_iter().filter(|class| word == "all" || word == class.to_string()).collect()
}

fn number(word: &str, unit: &'static str, more: &'static str) -> Result<u64, CommandError> {
    word.parse().map_err(|_| not_a_number(word, unit, more))
}

fn not_a_number(word: &str, unit: &'static str, more: &'static str) -> CommandError {
    CommandError::Number { word: word.to_owned(), unit, more }
}

fn prefix(rest: &[&str]) -> Result<Prefix, CommandError> {
    let word = rest.first().copied().unwrap_or_default();
    Prefix::parse(word).ok_or_else(|| CommandError::Prefix { word: word.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wal() -> Prefix {
        Prefix::parse("pg_wal").unwrap()
    }

    #[test]
    fn every_form_is_read() {
        let everything = Prefix::default;
        let cases = [
            ("status\r\n", Command::Status),
            ("limit 4096 pg_wal", Command::Limit(Some(4096), wal())),
            ("limit used", Command::Limit(None, everything())),
            ("limit off", Command::LimitOff),
            ("delay sync 20 pg_wal", Command::Delay(vec![Class::Sync], Duration::from_millis(20), wal())),
            ("delay all 5", Command::Delay(Class::ALL.to_vec(), Duration::from_millis(5), everything())),
            ("delay off", Command::DelayOff),
            ("throttle 1000", Command::Throttle(Some(1000))),
            ("throttle off", Command::Throttle(None)),
            ("stall", Command::Stall(everything())),
            ("resume", Command::Resume),
            ("fail read pg_wal", Command::Fail(vec![Class::Read], wal())),
            ("fail off", Command::FailOff),
            ("drop", Command::Drop),
            ("sync", Command::Sync),
            ("off", Command::Off),
        ];
        for (line, command) in cases {
            assert_eq!(Command::parse(line), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        let error = |line: &str| Command::parse(line).unwrap_err().to_string();
        for line in ["", "explode", "drop now", "stall a b", "delay", "delay fast 5", "fail"] {
            assert!(error(line).contains("expected status | limit"), "{line:?}: {}", error(line));
        }
        assert_eq!(error("limit lots"), "failed to read \"lots\": expected a whole number of bytes, or used, or off");
        assert!(error("throttle 0").contains("above 0"));
        assert!(error("stall ../etc").contains("below the mount point"));
    }
}
