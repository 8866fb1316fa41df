//! What is wrong with the disk: delays, stalls, failures, a throttle; and the wait of one operation for them.

use std::fmt::{self, Display};
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::counters::Counters;
use crate::operation::{Class, Operation};
use crate::prefix::Prefix;

/// Every fault but the limit on space, which [`crate::space`] keeps.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Rules>,
    changed: Condvar,
    /// A bit for each class that any rule concerns: most operations look no further.
    concerned: AtomicU8,
}

#[derive(Debug)]
struct Rules {
    delays: Vec<(Class, Duration, Prefix)>,
    failing: Vec<(Class, Prefix)>,
    stalled: Vec<Prefix>,
    bytes_per_s: Option<u64>,
    /// When the bytes that were let through so far have passed the throttle.
    free_at: Instant,
}

impl Default for Rules {
    fn default() -> Self {
        Self { delays: vec![], failing: vec![], stalled: vec![], bytes_per_s: None, free_at: Instant::now() }
    }
}

impl Faults {
    /// Whether nothing at all is wrong for this class of operations.
    pub fn spare(&self, class: Class) -> bool {
        self.concerned.load(Ordering::Acquire) & class.bit() == 0
    }

    /// Waits as long as the disk makes `operation` wait: first while it is stalled, then the delay, then the
    /// throttle. A change of the rules counts at once, for those that wait too.
    ///
    /// # Errors
    /// EIO if operations of this kind fail, at the end of the wait.
    pub fn pass(&self, operation: &Operation, counters: &Counters) -> io::Result<()> {
        if self.spare(operation.class()) {
            return Ok(());
        }
        let mut rules = self.rules.lock();
        if rules.stalls(operation) {
            counters.stalled_waiting.add(1);
            self.changed.wait_while(&mut rules, |rules| rules.stalls(operation));
            counters.stalled_waiting.subtract(1);
        }
        let began = Instant::now();
        self.wait_until(&mut rules, |rules| Some(began + rules.delay_of(operation)?));
        if rules.fails(operation) {
            counters.failed_returned.add(1);
            return Err(Errno::EIO.into());
        }
        let turn = rules.take_turn(operation);
        self.wait_until(&mut rules, |rules| turn.filter(|_| rules.bytes_per_s.is_some()));
        Ok(())
    }

    /// Waits until the instant that `deadline` gives, which is asked again when the rules change.
    fn wait_until(&self, rules: &mut MutexGuard<'_, Rules>, deadline: impl Fn(&Rules) -> Option<Instant>) {
        while let Some(at) = deadline(rules).filter(|at| *at > Instant::now()) {
            self.changed.wait_until(rules, at);
        }
    }

    /// Changes the rules and wakes whoever waits.
    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.rules.lock();
        change(&mut rules);
        let bits =
            Class::ALL.into_iter().filter(|class| rules.concern(*class)).fold(0, |bits, class| bits | class.bit());
        self.concerned.store(bits, Ordering::Release);
        self.changed.notify_all();
    }

    /// Makes every operation of these classes under `prefix` take longer by `delay`. Where several delays apply to
    /// an operation, the longest counts.
    pub fn delay(&self, classes: &[Class], delay: Duration, prefix: &Prefix) {
        self.change(|rules| {
            rules.delays.retain(|(class, _, place)| !(classes.contains(class) && place == prefix));
            rules.delays.extend(classes.iter().map(|class| (*class, delay, prefix.clone())));
        });
    }

    /// Ends every delay.
    pub fn delay_off(&self) {
        self.change(|rules| rules.delays.clear());
    }

    /// Lets no more than `bytes_per_s` pass between the disk and its platters: what is read, and what is synced.
    pub fn throttle(&self, bytes_per_s: Option<u64>) {
        self.change(|rules| {
            rules.bytes_per_s = bytes_per_s;
            rules.free_at = Instant::now();
        });
    }

    /// Makes operations under `prefix` hang.
    pub fn stall(&self, prefix: Prefix) {
        self.change(|rules| {
            if !rules.stalled.contains(&prefix) {
                rules.stalled.push(prefix);
            }
        });
    }

    /// Ends every stall.
    pub fn resume(&self) {
        self.change(|rules| rules.stalled.clear());
    }

    /// Whether anything is stalled.
    pub fn any_stall(&self) -> bool {
        !self.rules.lock().stalled.is_empty()
    }

    /// Makes operations of these classes under `prefix` fail.
    pub fn fail(&self, classes: &[Class], prefix: &Prefix) {
        self.change(|rules| {
            rules.failing.retain(|(class, place)| !(classes.contains(class) && place == prefix));
            rules.failing.extend(classes.iter().map(|class| (*class, prefix.clone())));
        });
    }

    /// Ends every failure.
    pub fn fail_off(&self) {
        self.change(|rules| rules.failing.clear());
    }

    /// Ends everything.
    pub fn off(&self) {
        self.change(|rules| *rules = Rules::default());
    }
}

impl Rules {
    fn stalls(&self, operation: &Operation) -> bool {
        self.stalled.iter().any(|prefix| operation.is_under(prefix))
    }

    fn fails(&self, operation: &Operation) -> bool {
        self.failing.iter().any(|(class, prefix)| *class == operation.class() && operation.is_under(prefix))
    }

    fn delay_of(&self, operation: &Operation) -> Option<Duration> {
        let apply =
            |(class, _, prefix): &&(Class, Duration, Prefix)| *class == operation.class() && operation.is_under(prefix);
        self.delays.iter().filter(apply).map(|(_, delay, _)| *delay).max()
    }

    /// Books the operation's bytes at the throttle; gives the instant when they have passed.
    fn take_turn(&mut self, operation: &Operation) -> Option<Instant> {
        let rate = self.bytes_per_s.filter(|_| operation.class() != Class::Write)?;
        let nanoseconds = u128::from(operation.bytes()) * 1_000_000_000 / u128::from(rate.max(1));
        let span = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let begins = self.free_at.max(Instant::now());
        // Longer than the clock can tell is as good as for ever: a day.
        self.free_at = begins.checked_add(span).unwrap_or(begins + Duration::from_secs(86_400));
        Some(self.free_at)
    }

    fn concern(&self, class: Class) -> bool {
        !self.stalled.is_empty()
            || self.delays.iter().any(|(delayed, ..)| *delayed == class)
            || self.failing.iter().any(|(failing, _)| *failing == class)
            || (self.bytes_per_s.is_some() && class != Class::Write)
    }
}

impl Display for Faults {
    /// As in the answer to `status`: `delay=sync:20:pg_wal throttle=off stalled=* failing=off`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.lock();
        let delays =
            rules.delays.iter().map(|(class, delay, prefix)| format!("{class}:{}:{prefix}", delay.as_millis()));
        let failing = rules.failing.iter().map(|(class, prefix)| format!("{class}:{prefix}"));
        let throttle = rules.bytes_per_s.map_or("off".to_owned(), |bytes| bytes.to_string());
        let (delays, failing) = (list(delays), list(failing));
        let stalled = list(rules.stalled.iter().map(Prefix::to_string));
        write!(out, "delay={delays} throttle={throttle} stalled={stalled} failing={failing}")
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "off".to_owned() } else { items.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn operation(class: Class, path: &str, bytes: u64) -> Operation {
        Operation::at(class, vec![PathBuf::from(path)], bytes)
    }

    fn wal() -> Prefix {
        Prefix::parse("pg_wal").unwrap()
    }

    fn took(faults: &Faults, operation: &Operation) -> Duration {
        let began = Instant::now();
        faults.pass(operation, &Counters::default()).unwrap();
        began.elapsed()
    }

    #[test]
    fn a_delay_is_for_its_class_and_prefix_and_the_longest_counts() {
        let faults = Faults::default();
        faults.delay(&[Class::Sync], Duration::from_millis(60), &wal());
        faults.delay(&[Class::Sync], Duration::from_millis(5), &Prefix::default());
        assert!(took(&faults, &operation(Class::Sync, "pg_wal/1", 0)) >= Duration::from_millis(60));
        let elsewhere = took(&faults, &operation(Class::Sync, "base/1", 0));
        assert!(elsewhere >= Duration::from_millis(5) && elsewhere < Duration::from_millis(60), "{elsewhere:?}");
        assert!(faults.spare(Class::Write));
        assert_eq!(faults.to_string(), "delay=sync:60:pg_wal,sync:5:* throttle=off stalled=off failing=off");
        faults.delay_off();
        assert!(faults.spare(Class::Sync));
    }

    #[test]
    fn a_failure_is_counted_and_ends() {
        let (faults, counters) = (Faults::default(), Counters::default());
        faults.fail(&[Class::Read], &wal());
        let error = faults.pass(&operation(Class::Read, "pg_wal/1", 1), &counters).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EIO as i32));
        faults.pass(&operation(Class::Read, "base/1", 1), &counters).unwrap();
        assert_eq!(counters.failed_returned.get(), 1);
        faults.fail_off();
        faults.pass(&operation(Class::Read, "pg_wal/1", 1), &counters).unwrap();
    }

    #[test]
    fn a_throttle_lets_bytes_pass_at_its_rate() {
        let faults = Faults::default();
        faults.throttle(Some(1_000_000));
        let began = Instant::now();
        for _ in 0..4 {
            took(&faults, &operation(Class::Sync, "base/1", 25_000));
        }
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
        assert!(faults.spare(Class::Write));
    }

    #[test]
    fn whoever_waits_goes_on_when_the_fault_ends() {
        let (faults, counters) = (Arc::new(Faults::default()), Arc::new(Counters::default()));
        faults.stall(wal());
        faults.delay(&[Class::Write], Duration::from_secs(3600), &Prefix::default());
        faults.throttle(Some(1));
        let waiting: Vec<_> = [("pg_wal/1", Class::Write), ("base/1", Class::Write), ("base/1", Class::Sync)]
            .map(|(path, class)| {
                let (faults, counters) = (Arc::clone(&faults), Arc::clone(&counters));
                std::thread::spawn(move || faults.pass(&operation(class, path, 1 << 40), &counters))
            })
            .into();
        let deadline = Instant::now() + Duration::from_secs(20);
        while counters.stalled_waiting.get() != 1 {
            assert!(Instant::now() < deadline, "nobody stalled within 20 s");
            std::thread::yield_now();
        }
        faults.off();
        waiting.into_iter().for_each(|waits| waits.join().unwrap().unwrap());
        assert_eq!(counters.stalled_waiting.get(), 0);
        assert_eq!(faults.to_string(), "delay=off throttle=off stalled=off failing=off");
    }
}
