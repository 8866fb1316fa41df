//! A node's watchdog: what resets its host when the agent does not feed it any more, as Patroni has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Broken, PatroniSettings};

/// Where the device's file system is mounted, in the container of the service that feeds it.
pub const DIRECTORY: &str = "/dev/pgquake";
/// The device, as Linux' `/dev/watchdog`.
pub const DEVICE: &str = "/dev/pgquake/watchdog";

/// Patroni's `watchdog`, under its own names with their units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WatchdogSettings {
    /// Whether the node has a watchdog, and leads without one.
    pub mode: WatchdogMode,
    /// How long before the end of its lease a host is reset whose agent has not refreshed it: the watchdog's timeout is
    /// `ttl_s` less this. -1: half of `ttl_s`.
    pub safety_margin_s: i32,
}

impl Default for WatchdogSettings {
    fn default() -> Self {
        Self { mode: WatchdogMode::Off, safety_margin_s: 5 }
    }
}

impl WatchdogSettings {
    pub(super) fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a node has a watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatchdogMode {
    /// It has none.
    Off,
    /// It has one, and would lead if it could not use it.
    Automatic,
    /// It has one, and does not lead without it.
    Required,
}

impl WatchdogMode {
    /// Patroni's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Automatic => "automatic",
            Self::Required => "required",
        }
    }
}

impl PatroniSettings {
    /// How long a leader may leave its watchdog unfed, in seconds; `None`: it has none. Patroni's own formula
    /// (`WatchdogConfig.timeout`).
    pub fn watchdog_timeout_s(&self) -> Option<u32> {
        let WatchdogSettings { mode, safety_margin_s } = self.watchdog;
        match (mode, u32::try_from(safety_margin_s)) {
            (WatchdogMode::Off, _) => None,
            (_, Err(_)) => Some(self.ttl_s / 2),
            (_, Ok(margin_s)) => Some(self.ttl_s.saturating_sub(margin_s)),
        }
    }

    /// What is left of a lease when the watchdog resets the host of its holder, in seconds.
    pub fn left_after_reset_s(&self) -> Option<u32> {
        self.watchdog_timeout_s().map(|timeout_s| self.ttl_s.saturating_sub(timeout_s))
    }
}

/// What Patroni would not say, or only in its log: it gives up a watchdog that it can't feed in time.
pub(super) fn rules(settings: &PatroniSettings) -> Vec<Broken> {
    let (margin_s, ttl_s, loop_wait_s) = (settings.watchdog.safety_margin_s, settings.ttl_s, settings.loop_wait_s);
    let margin = ["patroni", "watchdog", "safety_margin_s"];
    if margin_s < -1 {
        let message = format!("safety_margin_s is {margin_s}; it takes seconds, or -1 for half of ttl_s");
        return vec![Broken::new(margin, message)];
    }
    if u32::try_from(margin_s).is_ok_and(|margin_s| margin_s >= ttl_s) {
        let message = format!(
            "safety_margin_s is {margin_s} and not below ttl_s, which is {ttl_s}: the watchdog would have no time"
        );
        let help = "the watchdog's timeout is ttl_s - safety_margin_s; Patroni's default is 5";
        return vec![Broken::new(margin, message).help(help)];
    }
    match settings.watchdog_timeout_s() {
        Some(timeout_s) if timeout_s < loop_wait_s => {
            let message = format!(
                "the watchdog's timeout is {timeout_s} s (ttl_s - safety_margin_s), and the agent feeds it every \
                 loop_wait_s, which is {loop_wait_s}"
            );
            let help = "Patroni would do without the watchdog: lower safety_margin_s or loop_wait_s, or raise ttl_s";
            vec![Broken::new(margin, message).help(help)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mode: WatchdogMode, safety_margin_s: i32) -> PatroniSettings {
        PatroniSettings { watchdog: WatchdogSettings { mode, safety_margin_s }, ..PatroniSettings::default() }
    }

    #[test]
    fn the_timeout_is_patronis() {
        assert_eq!(settings(WatchdogMode::Off, 5).watchdog_timeout_s(), None);
        assert_eq!(settings(WatchdogMode::Required, 5).watchdog_timeout_s(), Some(25));
        assert_eq!(settings(WatchdogMode::Automatic, -1).watchdog_timeout_s(), Some(15));
        assert_eq!(settings(WatchdogMode::Required, 5).left_after_reset_s(), Some(5));
    }

    #[test]
    fn a_margin_that_leaves_no_time_is_refused() {
        let messages = |margin_s| -> Vec<String> {
            rules(&settings(WatchdogMode::Required, margin_s)).into_iter().map(|broken| broken.message).collect()
        };
        for margin_s in [-1, 0, 5, 20] {
            assert!(messages(margin_s).is_empty(), "{margin_s}");
        }
        assert!(messages(-2)[0].starts_with("safety_margin_s is -2;"));
        assert!(messages(30)[0].contains("not below ttl_s"));
        assert!(messages(21)[0].starts_with("the watchdog's timeout is 9 s"));
    }
}
