//! The commands of `linux/watchdog.h`, by their numbers.

/// A command that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Support,
    /// Both states are 0: no alarm, and no reset that this kernel could have survived.
    Status,
    KeepAlive,
    SetTimeout,
    GetTimeout,
    TimeLeft,
}

/// Bytes of C's `int`, and of `struct watchdog_info`.
const INT: u32 = 4;
const INFO: u32 = 40;

/// Flags of `struct watchdog_info`.
const SETS_TIMEOUT: u32 = 0x0080;
const MAGIC_CLOSE: u32 = 0x0100;
const KEEPALIVE_PING: u32 = 0x8000;

const IDENTITY: &[u8] = b"pgquake watchdog";

/// `_IOR('W', …)`: the program writes, the caller reads.
const fn reads(number: u32, bytes: u32) -> u32 {
    2 << 30 | bytes << 16 | (b'W' as u32) << 8 | number
}

const fn reads_and_writes(number: u32, bytes: u32) -> u32 {
    1 << 30 | reads(number, bytes)
}

impl Command {
    /// By its number.
    pub const fn of(number: u32) -> Option<Self> {
        const SUPPORT: u32 = reads(0, INFO);
        const STATUS: u32 = reads(1, INT);
        const BOOT_STATUS: u32 = reads(2, INT);
        const KEEP_ALIVE: u32 = reads(5, INT);
        const SET_TIMEOUT: u32 = reads_and_writes(6, INT);
        const GET_TIMEOUT: u32 = reads(7, INT);
        const TIME_LEFT: u32 = reads(10, INT);
        match number {
            SUPPORT => Some(Self::Support),
            STATUS | BOOT_STATUS => Some(Self::Status),
            KEEP_ALIVE => Some(Self::KeepAlive),
            SET_TIMEOUT => Some(Self::SetTimeout),
            GET_TIMEOUT => Some(Self::GetTimeout),
            TIME_LEFT => Some(Self::TimeLeft),
            _ => None,
        }
    }
}

/// `struct watchdog_info`.
pub fn support() -> [u8; INFO as usize] {
    let mut info = [0; INFO as usize];
    info[..4].copy_from_slice(&(SETS_TIMEOUT | MAGIC_CLOSE | KEEPALIVE_PING).to_ne_bytes());
    info[8..8 + IDENTITY.len()].copy_from_slice(IDENTITY);
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `linux/watchdog.h` has them on x86 and ARM.
    #[test]
    fn the_numbers_are_the_kernels() {
        for (number, command) in [
            (0x8028_5700, Command::Support),
            (0x8004_5701, Command::Status),
            (0x8004_5702, Command::Status),
            (0x8004_5705, Command::KeepAlive),
            (0xc004_5706, Command::SetTimeout),
            (0x8004_5707, Command::GetTimeout),
            (0x8004_570a, Command::TimeLeft),
        ] {
            assert_eq!(Command::of(number), Some(command));
        }
        assert_eq!(Command::of(0x8004_5704), None, "WDIOC_SETOPTIONS");
    }
}
