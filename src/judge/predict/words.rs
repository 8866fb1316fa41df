//! A prediction in words, with a histogram of characters.

use std::fmt::Write as _;

use super::{Distribution, Prediction, Target};
use crate::{quantity::written::seconds, span::Span};

/// How many bars a histogram has at most.
const MOST_BARS: f64 = 24.0;
/// How wide its longest bar is, in characters.
const WIDEST: f64 = 50.0;

/// The prediction as plain text.
pub fn text(prediction: &Prediction) -> String {
    let mut out = format!(
        "A prediction, from settings and measured phases; nothing was run.\nHow long clients can't write when the host of the \
         primary is lost, on {}:\n\n",
        prediction.topology
    );
    summary(&mut out, "outage", &prediction.outage);
    if let Some(without) = &prediction.without_dcs_leader {
        summary(&mut out, "  the DCS keeps its leader", &prediction.with_dcs_leader);
        let share = percent(prediction.dcs_leader_lost);
        summary(&mut out, &format!("  its leader is lost too ({share})"), without);
    }
    out.push('\n');
    for bar in bars(&prediction.outage) {
        let (from, length) = (seconds(bar.from_ms), (bar.likely / bar.longest * WIDEST).round() as usize);
        let _ = writeln!(out, "  {from:>8}  {:<50}  {}", "\u{2588}".repeat(length), percent(bar.likely));
    }
    out.push('\n');
    for Target { claim, most_ms, missed } in &prediction.targets {
        let _ = writeln!(out, "  {claim}: {} more than {}", takes(*missed), seconds(*most_ms));
    }
    out.push_str("\nThe phases that it is the sum of:\n\n");
    for (name, told) in phases(prediction) {
        let _ = writeln!(out, "  {name:<14}  {told}");
    }
    out
}

/// The phases, with what is known of each.
pub(super) fn phases(prediction: &Prediction) -> Vec<(&'static str, String)> {
    let parts = &prediction.parts;
    let mut rows =
        vec![("detect", format!("the lease {} and the DCS's look at it {}", range(parts.lease), range(parts.expiry)))];
    if prediction.without_dcs_leader.is_some() {
        let (lease, expiry) = (range(parts.whole_lease), range(parts.expiry_with_loss));
        rows.push((
            "",
            format!("with the DCS's leader lost: a whole lease {lease}, and an election before it {expiry}"),
        ));
    }
    let each = &prediction.rest.each_ms;
    let (least, most) = each.iter().fold((f64::MAX, 0.0_f64), |(least, most), own| (least.min(*own), most.max(*own)));
    let measured = format!("{} to {}, measured in {}", seconds(least.min(most)), seconds(most), prediction.rest.source);
    rows.push(("elect, promote", measured));
    rows.push(("route", format!("good checks of the balancer {}", range(parts.route))));
    if let Some(mark_down) = prediction.mark_down {
        let told =
            format!("failed checks of the balancer {} from the loss; it counts where it ends last", range(mark_down));
        rows.push(("mark down", told));
    }
    rows
}

fn summary(out: &mut String, name: &str, of: &Distribution) {
    let [low, middle, high] = [0.05, 0.5, 0.95].map(|share| seconds(of.quantile_ms(share)));
    let (least, most) = (seconds(of.least_ms()), seconds(of.most_ms()));
    let _ = writeln!(out, "  {name:<34} {least} to {most}; median {middle}, nine of ten within {low} to {high}");
}

pub(super) fn range(span: Span) -> String {
    let (least, most) = (seconds(span.least_ms as f64), seconds(span.most_ms as f64));
    if span.least_ms == span.most_ms { most } else { format!("{least} to {most}") }
}

/// Which failovers take: `69 % of failovers take`.
pub(super) fn takes(share: f64) -> String {
    match share {
        share if share <= 0.0 => "no failover takes".to_owned(),
        share if share >= 1.0 - 1e-9 => "every failover takes".to_owned(),
        share => format!("{} of failovers take", percent(share)),
    }
}

pub(super) fn percent(share: f64) -> String {
    match share {
        share if share <= 0.0 => "none".to_owned(),
        share if share >= 1.0 - 1e-9 => "all".to_owned(),
        share if share < 0.01 => "less than 1 %".to_owned(),
        share => format!("{:.0} %", share * 100.0),
    }
}

/// One bar of a histogram.
pub(super) struct Bar {
    pub from_ms: f64,
    pub to_ms: f64,
    pub likely: f64,
    /// The probability of the most likely one.
    pub longest: f64,
}

/// The distribution in bars of equal width, which is a round number.
pub(super) fn bars(of: &Distribution) -> Vec<Bar> {
    let width_ms = [100.0, 200.0, 500.0]
        .into_iter()
        .flat_map(|width| (0..8).map(move |power| width * 10f64.powi(power)))
        .filter(|width| (of.most_ms() - of.least_ms()) / width <= MOST_BARS)
        .fold(f64::INFINITY, f64::min);
    let first = (of.least_ms() / width_ms).floor() as i64;
    let last = (of.most_ms() / width_ms).floor() as i64;
    let at = |place: i64| place as f64 * width_ms;
    let heights: Vec<f64> = (first..=last).map(|place| of.between(at(place), at(place + 1))).collect();
    let longest = heights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = |(place, likely)| Bar { from_ms: at(place), to_ms: at(place + 1), likely, longest };
    (first..=last).zip(heights).map(bar).collect()
}
