//! The watchdog's time: pure, each call says what time it is.

use std::time::{Duration, Instant};

/// The timeout of a watchdog that nobody has set, as Linux' softdog has it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest timeout, in seconds.
const MOST_S: i32 = 65_535;
/// How long before a reset it is announced.
pub const ANNOUNCED_BEFORE: Duration = Duration::from_millis(300);

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing, until it is opened.
    Nothing,
    /// A look after this time.
    In(Duration),
    /// The announcement of a reset. The time for which it was not fed.
    Announcement(Duration),
    /// The reset. The time for which it was not fed.
    Reset(Duration),
}

/// Whether the watchdog runs, and when it was fed.
#[derive(Debug)]
pub struct Timer {
    timeout: Duration,
    /// When it was fed last; `None`: it does not run.
    fed: Option<Instant>,
    is_open: bool,
    /// The last write had a `V` in it: the close that follows stops it.
    may_stop: bool,
    announced: bool,
}

impl Default for Timer {
    fn default() -> Self {
        Self { timeout: DEFAULT_TIMEOUT, fed: None, is_open: false, may_stop: false, announced: false }
    }
}

/// What a close has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It was stopped.
    Stopped,
    /// It goes on, and nobody feeds it.
    GoesOn,
}

impl Timer {
    /// Opens it and starts it; `false`: somebody else has it.
    pub fn open(&mut self, now: Instant) -> bool {
        if self.is_open {
            return false;
        }
        (self.is_open, self.may_stop) = (true, false);
        self.feed(now);
        true
    }

    /// Feeds it, also where it was to be stopped. Returns whether a reset had been announced.
    pub fn feed(&mut self, now: Instant) -> bool {
        self.fed = Some(now);
        std::mem::take(&mut self.announced)
    }

    /// Takes what was written, which feeds it. Returns whether a reset had been announced.
    pub fn write(&mut self, data: &[u8], now: Instant) -> bool {
        self.may_stop = data.contains(&b'V');
        self.feed(now)
    }

    /// Nobody has it open any more.
    pub fn close(&mut self) -> Closed {
        self.is_open = false;
        if !std::mem::take(&mut self.may_stop) {
            return Closed::GoesOn;
        }
        (self.fed, self.announced) = (None, false);
        Closed::Stopped
    }

    /// Sets the timeout and feeds it; `None`: it can't be so long or so short.
    pub fn set_timeout(&mut self, seconds: i32, now: Instant) -> Option<Duration> {
        let seconds = u32::try_from(seconds).ok().filter(|_| (1..=MOST_S).contains(&seconds))?;
        self.timeout = Duration::from_secs(seconds.into());
        self.feed(now);
        Some(self.timeout)
    }

    /// The timeout.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The time until it resets its host if nobody feeds it.
    pub fn left(&self, now: Instant) -> Duration {
        let unfed = self.fed.map_or(Duration::ZERO, |fed| now.saturating_duration_since(fed));
        self.timeout.saturating_sub(unfed)
    }

    /// What is next. An announcement is due once.
    pub fn due(&mut self, now: Instant) -> Due {
        let Some(fed) = self.fed else { return Due::Nothing };
        let unfed = now.saturating_duration_since(fed);
        let announced_at = self.timeout.saturating_sub(ANNOUNCED_BEFORE);
        if self.announced && unfed >= self.timeout {
            return Due::Reset(unfed);
        }
        if !self.announced && unfed >= announced_at {
            self.announced = true;
            return Due::Announcement(unfed);
        }
        Due::In(if self.announced { self.timeout } else { announced_at }.saturating_sub(unfed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn opened(timeout_s: i32) -> (Timer, Instant) {
        let (mut timer, begun) = (Timer::default(), Instant::now());
        assert!(timer.open(begun));
        assert_eq!(timer.set_timeout(timeout_s, begun), Some(timeout_s as u32 * SECOND));
        (timer, begun)
    }

    #[test]
    fn not_fed_it_announces_the_reset_and_then_it_is_due() {
        let (mut timer, begun) = opened(5);
        assert_eq!(timer.due(begun + SECOND), Due::In(4 * SECOND - ANNOUNCED_BEFORE));
        let announced = 5 * SECOND - ANNOUNCED_BEFORE;
        assert_eq!(timer.due(begun + announced), Due::Announcement(announced));
        assert_eq!(timer.due(begun + announced), Due::In(ANNOUNCED_BEFORE));
        assert_eq!(timer.due(begun + 5 * SECOND), Due::Reset(5 * SECOND));
    }

    #[test]
    fn a_late_look_finds_both_due_one_after_the_other() {
        let (mut timer, begun) = opened(5);
        assert_eq!(timer.due(begun + 9 * SECOND), Due::Announcement(9 * SECOND));
        assert_eq!(timer.due(begun + 9 * SECOND), Due::Reset(9 * SECOND));
    }

    #[test]
    fn feeding_puts_the_reset_off_even_after_it_was_announced() {
        let (mut timer, begun) = opened(5);
        assert!(!timer.write(b"1", begun + 4 * SECOND));
        assert_eq!(timer.left(begun + 5 * SECOND), 4 * SECOND);
        assert!(matches!(timer.due(begun + 8 * SECOND), Due::In(_)));
        assert!(matches!(timer.due(begun + 9 * SECOND - ANNOUNCED_BEFORE), Due::Announcement(_)));
        assert!(timer.write(b"1", begun + 9 * SECOND - ANNOUNCED_BEFORE / 2), "it had been announced");
        assert!(matches!(timer.due(begun + 9 * SECOND), Due::In(_)));
    }

    #[test]
    fn only_a_magic_close_stops_it() {
        let (mut timer, begun) = opened(5);
        timer.write(b"1", begun);
        assert_eq!(timer.close(), Closed::GoesOn);
        assert!(matches!(timer.due(begun + 5 * SECOND), Due::Announcement(_)));
        assert!(timer.open(begun + 5 * SECOND), "who comes back may have it again");
        timer.write(b"V", begun + 5 * SECOND);
        // It was fed again, so the close is no magic one.
        timer.write(b"1", begun + 5 * SECOND);
        assert_eq!(timer.close(), Closed::GoesOn);
        assert!(timer.open(begun + 6 * SECOND));
        timer.write(b"V", begun + 6 * SECOND);
        assert_eq!(timer.close(), Closed::Stopped);
        assert_eq!(timer.due(begun + 60 * SECOND), Due::Nothing);
    }

    #[test]
    fn one_has_it_at_a_time() {
        let (mut timer, begun) = opened(5);
        assert!(!timer.open(begun));
    }

    #[test]
    fn a_timeout_that_cannot_be_leaves_the_old_one() {
        let (mut timer, begun) = opened(5);
        for seconds in [0, -1, 65_536] {
            assert_eq!(timer.set_timeout(seconds, begun), None);
        }
        assert_eq!(timer.timeout(), 5 * SECOND);
    }
}
