//! A strip plot: each trial as a dot against the target, as SVG.

use std::fmt::Write as _;

use super::figures;
use crate::history::event::Bound;

const WIDTH: f64 = 720.0;
const SIDE: f64 = 24.0;
const LINE_Y: f64 = 74.0;
const RADIUS: f64 = 5.0;

/// What one trial measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    pub trial: u32,
    pub value: f64,
}

/// Draws the trials on an axis from zero, the target as a dashed line, what the settings predict as a pale band.
/// A dot that misses the target is red and square.
pub fn draw(measure: &str, dots: &[Dot], target: Bound, predicted: Option<(f64, f64)>, id: &str) -> String {
    let targets = match target {
        Bound::AtMost(one) | Bound::AtLeast(one) | Bound::Exactly(one) => vec![one],
        Bound::Between(least, most) => vec![least, most],
    };
    let most =
        dots.iter().map(|dot| dot.value).chain(targets.clone()).chain(predicted.map(|span| span.1)).fold(0.0, f64::max);
    let most = if most > 0.0 { most * 1.04 } else { 1.0 };
    let x = |value: f64| SIDE + (value / most).clamp(0.0, 1.0) * (WIDTH - 2.0 * SIDE);
    let mut body = String::new();
    if let Some((least, most)) = predicted {
        let _ = write!(
            body,
            "<rect class=\"grid-band\" x=\"{:.1}\" y=\"22\" width=\"{:.1}\" height=\"{:.1}\"><title>predicted</title></rect>",
            x(least),
            x(most) - x(least),
            LINE_Y - 22.0
        );
    }
    ticks(&mut body, measure, most, &x);
    for target in targets {
        let _ = write!(
            body,
            "<line class=\"target\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"18\" y2=\"{LINE_Y}\"/>\
             <text class=\"event\" x=\"{:.1}\" y=\"12\" text-anchor=\"middle\">{}</text>",
            x(target).clamp(60.0, WIDTH - 60.0),
            figures::escape(&format!("target {}", figures::value(measure, target))),
            at = x(target),
        );
    }
    place(&mut body, measure, dots, target, &x);
    let title = format!("{} of {} trials", figures::name(measure), dots.len());
    format!(
        "<svg class=\"strip\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-labelledby=\"{id}\"><title id=\"{id}\">{}\
         </title>{body}</svg>",
        LINE_Y + 38.0,
        figures::escape(&title)
    )
}

fn ticks(body: &mut String, measure: &str, most: f64, x: &impl Fn(f64) -> f64) {
    let _ = write!(
        body,
        "<line class=\"axis\" x1=\"{SIDE}\" x2=\"{:.1}\" y1=\"{LINE_Y}\" y2=\"{LINE_Y}\"/>\
         <text class=\"lane-detail\" x=\"{SIDE}\" y=\"{:.1}\">{}, each trial; dashed: target; band: predicted</text>",
        WIDTH - SIDE,
        LINE_Y + 32.0,
        figures::escape(&figures::name(measure)),
    );
    let magnitude = 10f64.powf((most / 8.0).log10().ceil());
    let step =
        [0.2, 0.5, 1.0].into_iter().map(|part| part * magnitude).find(|step| most / step <= 8.0).unwrap_or(magnitude);
    let mut value = 0.0;
    while value <= most {
        let _ = write!(
            body,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(value),
            LINE_Y + 16.0,
            figures::escape(&figures::value(measure, value)),
        );
        value += step;
    }
}

/// Dots that would touch are stacked.
fn place(body: &mut String, measure: &str, dots: &[Dot], target: Bound, x: &impl Fn(f64) -> f64) {
    let mut sorted = dots.to_vec();
    sorted.sort_by(|a, b| a.value.total_cmp(&b.value));
    // The right edge of the last dot of each row.
    let mut rows: Vec<f64> = Vec::new();
    for dot in sorted {
        let at = x(dot.value);
        let free = rows.iter().position(|edge| *edge <= at - RADIUS).unwrap_or(rows.len());
        match rows.get_mut(free) {
            Some(edge) => *edge = at + RADIUS + 1.0,
            None => rows.push(at + RADIUS + 1.0),
        }
        // Rows beyond the drawing's height share the top one.
        let y = LINE_Y - 9.0 - free.min(3) as f64 * 11.0;
        let title = figures::escape(&format!("trial {}: {}", dot.trial, figures::value(measure, dot.value)));
        let _ = if target.holds(dot.value) {
            write!(
                body,
                "<circle class=\"dot kept\" cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\"><title>{title}</title></circle>"
            )
        } else {
            let (left, top, side) = (at - 4.5, y - 4.5, 9);
            write!(
                body,
                "<rect class=\"dot missed\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{side}\" height=\"{side}\"><title>{title}\
                 </title></rect>"
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_is_a_dot_and_misses_look_different() {
        let dots = [24_000.0, 28_800.0, 28_800.0, 31_700.0].map(|value| Dot { trial: 1, value });
        let svg = draw("write_outage_ms", &dots, Bound::AtMost(30_000.0), Some((20_000.0, 39_000.0)), "s");
        assert_eq!(svg.matches("class=\"dot kept\"").count(), 3);
        assert_eq!(svg.matches("class=\"dot missed\"").count(), 1);
        assert!(svg.contains("target 30.0 s"));
    }

    #[test]
    fn nothing_but_zeros_is_drawn_too() {
        let svg = draw("overlap_ms", &[Dot { trial: 1, value: 0.0 }], Bound::Exactly(0.0), None, "s");
        assert!(svg.contains("class=\"dot kept\"") && !svg.contains("NaN"));
    }
}
