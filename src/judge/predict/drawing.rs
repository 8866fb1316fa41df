//! A prediction as a drawing that stands by itself.

use std::fmt::Write as _;

use super::{
    Prediction, Target,
    words::{Bar, bars, percent, takes},
};
use crate::{quantity::written::seconds, report::escape};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const SIDE: f64 = 24.0;
const TOP: f64 = 84.0;
const FLOOR: f64 = 262.0;
/// The width of a label under the axis, with the space beside it.
const LABEL: f64 = 64.0;

/// Colours on a light and on a dark ground.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1d2433}.quiet{fill:#5b6475}.head{font-size:16px;font-weight:600}\
.bar{fill:#2f6fb2}.missed{fill:#b3261e}.axis{stroke:#5b6475}.target{stroke:#1d2433;stroke-dasharray:5 4}.ground{fill:#fff}\
@media(prefers-color-scheme:dark){text{fill:#e6e9f0}.quiet{fill:#a5aec0}.bar{fill:#6aa5e0}.missed{fill:#f2766d}\
.axis{stroke:#a5aec0}.target{stroke:#e6e9f0}.ground{fill:#161a22}}";

/// The distribution of the outage as an SVG file: bars of equal width, the targets of claims as dashed lines. Bars beyond the
/// smallest target that some failover keeps have another colour.
pub fn svg(prediction: &Prediction) -> String {
    let bars = bars(&prediction.outage);
    let furthest = prediction.targets.iter().map(|target| target.most_ms).fold(prediction.outage.most_ms(), f64::max);
    let (from_ms, to_ms) = (bars.first().map_or(0.0, |bar| bar.from_ms), bars.last().map_or(1.0, |bar| bar.to_ms));
    let (from_ms, to_ms) = (from_ms * 0.9, to_ms.max(furthest.min(to_ms * 1.6)) * 1.03);
    let x = |ms: f64| SIDE + ((ms - from_ms) / (to_ms - from_ms).max(1.0)).clamp(0.0, 1.0) * (WIDTH - 2.0 * SIDE);
    let mut body = String::new();
    let is_kept = |target: &&Target| target.most_ms >= prediction.outage.least_ms();
    let smallest = prediction.targets.iter().find(is_kept).map_or(f64::INFINITY, |target| target.most_ms);
    bars.iter().for_each(|bar| draw_bar(&mut body, bar, smallest, &x));
    axis(&mut body, &bars, &x);
    targets(&mut body, prediction, to_ms, &x);
    let title = format!("Predicted, not measured: clients' write outage on {}", prediction.topology);
    let [low, middle, high] = [0.05, 0.5, 0.95].map(|share| seconds(prediction.outage.quantile_ms(share)));
    let about = format!("the primary's host is lost; median {middle}, nine of ten within {low} to {high}");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{title}</title>\
         <style>{STYLE}</style><rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\
         <text class=\"head\" x=\"{SIDE}\" y=\"28\">{title}</text><text class=\"quiet\" x=\"{SIDE}\" y=\"48\">{about}</text>\
         {body}</svg>\n",
        title = escape(&title),
        about = escape(&about),
    )
}

fn draw_bar(body: &mut String, bar: &Bar, smallest_target_ms: f64, x: &impl Fn(f64) -> f64) {
    let height = bar.likely / bar.longest * (FLOOR - TOP - 24.0);
    let class = if bar.from_ms >= smallest_target_ms { "bar missed" } else { "bar" };
    let told = format!("{} to {}: {}", seconds(bar.from_ms), seconds(bar.to_ms), percent(bar.likely));
    let _ = write!(
        body,
        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
        x(bar.from_ms) + 0.5,
        FLOOR - height,
        (x(bar.to_ms) - x(bar.from_ms) - 1.0).max(0.5),
        escape(&told),
    );
}

/// The axis with the time under every few bars.
fn axis(body: &mut String, bars: &[Bar], x: &impl Fn(f64) -> f64) {
    let _ =
        write!(body, "<line class=\"axis\" x1=\"{SIDE}\" x2=\"{:.1}\" y1=\"{FLOOR}\" y2=\"{FLOOR}\"/>", WIDTH - SIDE);
    let width = bars.first().map_or(LABEL, |bar| x(bar.to_ms) - x(bar.from_ms));
    let every = ((LABEL / width.max(1.0)).ceil() as usize).max(1);
    for bar in bars.iter().step_by(every) {
        let _ = write!(
            body,
            "<text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(bar.from_ms),
            FLOOR + 18.0,
            seconds(bar.from_ms)
        );
    }
}

/// Claims with one bound share a line; those beyond the drawing are named below it.
fn targets(body: &mut String, prediction: &Prediction, to_ms: f64, x: &impl Fn(f64) -> f64) {
    let inside = |target: &&Target| target.most_ms <= to_ms && target.most_ms >= prediction.outage.least_ms() * 0.9;
    let (drawn, others): (Vec<&Target>, Vec<&Target>) = prediction.targets.iter().partition(inside);
    for together in drawn.chunk_by(|one, other| one.most_ms == other.most_ms) {
        let Some(first) = together.first() else { continue };
        let names: Vec<&str> = together.iter().map(|target| target.claim.as_str()).collect();
        let told = format!("{}: {} longer", names.join(", "), takes(first.missed));
        let at = x(first.most_ms);
        let anchor = if at > WIDTH / 2.0 { "end" } else { "start" };
        let _ = write!(
            body,
            "<line class=\"target\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{FLOOR}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            TOP - 8.0,
            escape(&told),
        );
    }
    let told: Vec<String> = others
        .iter()
        .map(|target| format!("{} ({}): {} longer", target.claim, seconds(target.most_ms), takes(target.missed)))
        .collect();
    if !told.is_empty() {
        let _ = write!(
            body,
            "<text class=\"quiet\" x=\"{SIDE}\" y=\"{:.1}\">{}</text>",
            FLOOR + 44.0,
            escape(&told.join("; "))
        );
    }
}
