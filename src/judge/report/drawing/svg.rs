//! Turns a [`Timeline`] into SVG.

use std::fmt::Write as _;

use super::{
    attempts::{BUCKETS, Bucket},
    flags::{Flag, rows},
    timeline::{Band, Content, Lane, Style, Timeline},
};
use crate::report::figures::{escape, seconds};

/// Width of the drawing, of the labels at its left, and of the margin at its right, in user units.
const WIDTH: f64 = 1200.0;
const LABELS: f64 = 168.0;
const MARGIN: f64 = 20.0;
/// Heights.
const FLAG_ROW: f64 = 17.0;
const PHASE_BAR: f64 = 20.0;
const BAND: f64 = 22.0;
const WRITES: f64 = 7.0;
const UP: f64 = 17.0;
const DOWN: f64 = 13.0;
const GAP: f64 = 10.0;
/// Width of a letter at the drawing's font size, on the safe side.
const LETTER: f64 = 7.1;

/// Draws the timeline. `id` is unique in the page; `title` says what is drawn, for those who cannot see it.
pub fn draw(timeline: &Timeline, id: &str, title: &str) -> String {
    let axis = Axis { from_us: timeline.from_us, to_us: timeline.to_us, origin_us: timeline.origin_us };
    let mut body = String::new();
    let top = phases(&mut body, timeline, &axis);
    let mut y = top;
    let mut marks = String::new();
    let mut nodes_top = None;
    let mut nodes_bottom = y;
    let mut label_placed = false;
    let is_node = |lane: &Lane| matches!(lane.content, Content::Node { .. });
    for lane in &timeline.lanes {
        if is_node(lane) {
            nodes_top.get_or_insert(y);
        }
        if !is_node(lane) && nodes_top.is_some() && !label_placed {
            // Room for the label of two writers below the nodes.
            y += if timeline.two_writers.is_empty() { 0.0 } else { 14.0 };
            label_placed = true;
        }
        y += draw_lane(&mut marks, lane, &axis, y) + GAP;
        if is_node(lane) {
            nodes_bottom = y - GAP;
        }
    }
    let bottom = y;
    grid(&mut body, &axis, top, bottom);
    body.push_str(&marks);
    if let Some(nodes_top) = nodes_top {
        two_writers(&mut body, timeline, &axis, nodes_top, nodes_bottom);
    }
    boundaries(&mut body, timeline, &axis, top, bottom);
    let height = bottom + 54.0;
    format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-labelledby=\"{id}-title {id}-desc\"><title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>\
         <defs><pattern id=\"{id}-hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect class=\"hatch-ground\" width=\"6\" height=\"6\"/>\
         <line class=\"hatch-line\" y2=\"6\"/></pattern></defs>{}</svg>",
        escape(title),
        escape(&describe(timeline)),
        body.replace("url(#hatch)", &format!("url(#{id}-hatch)")),
    )
}

/// The drawing in words.
fn describe(timeline: &Timeline) -> String {
    let after = |at_us: u64| (at_us as f64 - timeline.origin_us as f64) / 1e6;
    let mut text = format!(
        "Lanes over time, from {:.1} s to {:.1} s around the fault's effect.",
        after(timeline.from_us),
        after(timeline.to_us)
    );
    for phase in &timeline.phases {
        let _ = write!(text, " {}: {:.2} s to {:.2} s.", phase.name, after(phase.from_us), after(phase.to_us));
    }
    for (from_us, to_us) in &timeline.two_writers {
        let _ = write!(text, " Two nodes acknowledged writes from {:.2} s to {:.2} s.", after(*from_us), after(*to_us));
    }
    text
}

/// The time axis. Times outside of the window are moved to its borders.
struct Axis {
    from_us: u64,
    to_us: u64,
    origin_us: u64,
}

impl Axis {
    fn x(&self, at_us: u64) -> f64 {
        let share = (at_us.clamp(self.from_us, self.to_us) - self.from_us) as f64 / (self.to_us - self.from_us) as f64;
        LABELS + share * (WIDTH - LABELS - MARGIN)
    }

    fn shows(&self, from_us: u64, to_us: u64) -> bool {
        from_us < self.to_us && to_us >= self.from_us
    }

    /// Round times relative to the origin, at most a dozen, with where they are.
    fn ticks(&self) -> Vec<(i128, f64)> {
        let span_s = (self.to_us - self.from_us) / 1_000_000;
        let step_s =
            [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].into_iter().find(|step| span_s / step <= 12).unwrap_or(1800);
        // Differences of any two times, and any time itself, fit into these.
        let (from_us, to_us, origin_us) =
            (i128::from(self.from_us), i128::from(self.to_us), i128::from(self.origin_us));
        let first = (from_us - origin_us).div_euclid(i128::from(step_s) * 1_000_000);
        (first..)
            .map(|number| number * i128::from(step_s))
            .map(|at_s| (at_s, origin_us + at_s * 1_000_000))
            .skip_while(|(_, at_us)| *at_us < from_us)
            .take_while(|(_, at_us)| *at_us <= to_us)
            .map(|(at_s, at_us)| (at_s, self.x(u64::try_from(at_us).unwrap_or_default())))
            .collect()
    }
}

fn grid(out: &mut String, axis: &Axis, top: f64, bottom: f64) {
    for (at_s, x) in axis.ticks() {
        let sign = if at_s > 0 {
            "+"
        } else if at_s < 0 {
            "\u{2212}"
        } else {
            ""
        };
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{sign}{} s</text>",
            bottom + 16.0,
            at_s.abs(),
        );
    }
}

/// The phases as a bar, each with its name and length on a flag above it. Returns where the lanes may begin.
fn phases(out: &mut String, timeline: &Timeline, axis: &Axis) -> f64 {
    if timeline.phases.is_empty() {
        return GAP;
    }
    let texts: Vec<_> = timeline
        .phases
        .iter()
        .map(|phase| format!("{} {}", phase.name, seconds((phase.to_us.saturating_sub(phase.from_us)) as f64 / 1e3)))
        .collect();
    let outside: Vec<_> = (0..texts.len())
        .filter(|place| {
            let phase = &timeline.phases[*place];
            axis.x(phase.to_us) - axis.x(phase.from_us) < text_width(&texts[*place]) + 10.0
        })
        .collect();
    // A flag that would leave the drawing at the right is moved left as a whole, line and text.
    let flags: Vec<_> = outside
        .iter()
        .map(|place| {
            let phase = &timeline.phases[*place];
            let width = text_width(&texts[*place]) + 8.0;
            Flag { x: ((axis.x(phase.from_us) + axis.x(phase.to_us)) / 2.0).min(WIDTH - width), width }
        })
        .collect();
    let rows = rows(&flags);
    let bar_top = 4.0 + FLAG_ROW * rows.iter().map(|row| row + 1).max().unwrap_or(0) as f64;
    lane_label(out, "phases", "of the outage", bar_top + PHASE_BAR / 2.0);
    for (place, phase) in timeline.phases.iter().enumerate() {
        let (x, end) = (axis.x(phase.from_us), axis.x(phase.to_us));
        let _ = write!(
            out,
            "<rect class=\"phase phase-{}\" x=\"{x:.1}\" y=\"{bar_top:.1}\" width=\"{:.1}\" height=\"{PHASE_BAR}\">\
             <title>{}</title></rect>",
            place % 2,
            (end - x).max(1.0),
            escape(&texts[place]),
        );
        if !outside.contains(&place) {
            let _ = write!(
                out,
                "<text class=\"phase-text inside\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                (x + end) / 2.0,
                bar_top + 14.5,
                escape(&texts[place]),
            );
        }
    }
    for ((flag, row), place) in flags.iter().zip(rows).zip(outside) {
        let base = bar_top - FLAG_ROW * row as f64;
        let _ = write!(
            out,
            "<line class=\"leader\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bar_top:.1}\"/>\
             <text class=\"phase-text\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            base - FLAG_ROW + 4.0,
            flag.x + 4.0,
            base - 4.0,
            escape(&texts[place]),
            x = flag.x,
        );
    }
    bar_top + PHASE_BAR + GAP
}

/// Lines through all lanes: the fault's effect, where phases meet, and milestones.
fn boundaries(out: &mut String, timeline: &Timeline, axis: &Axis, top: f64, bottom: f64) {
    for phase in &timeline.phases {
        let x = axis.x(phase.to_us);
        let _ = write!(
            out,
            "<line class=\"boundary\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            top - GAP
        );
    }
    let mut taken: Vec<(f64, f64)> = Vec::new();
    let fault = timeline.has_fault.then_some((timeline.origin_us, "fault takes effect", "effect"));
    let milestones = timeline.milestones.iter().map(|(at_us, name)| (*at_us, *name, "milestone"));
    for (at_us, name, class) in fault.into_iter().chain(milestones) {
        let x = axis.x(at_us);
        let _ = write!(
            out,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            top - GAP,
            bottom + 4.0
        );
        let half = text_width(name) / 2.0;
        let middle = x.clamp(LABELS + half, WIDTH - half - 2.0);
        let collides = taken.iter().any(|(from, to)| middle + half + 6.0 > *from && middle - half - 6.0 < *to);
        if !collides {
            taken.push((middle - half, middle + half));
        }
        let y = bottom + if collides { 47.0 } else { 34.0 };
        let _ =
            write!(out, "<text class=\"event\" x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{name}</text>");
    }
}

fn two_writers(out: &mut String, timeline: &Timeline, axis: &Axis, top: f64, bottom: f64) {
    for (from_us, to_us) in timeline.two_writers.iter().filter(|(from_us, to_us)| axis.shows(*from_us, *to_us)) {
        let (x, end) = (axis.x(*from_us), axis.x(*to_us));
        let width = (end - x).max(2.0);
        // The check's figure where it is for this stretch; it knows better than the drawing when a writer ended.
        let length_ms = timeline.overlap_ms.filter(|_| timeline.two_writers.len() == 1);
        let text = format!("two writers, {}", seconds(length_ms.unwrap_or((to_us - from_us) as f64 / 1e3)));
        let half = text_width(&text) / 2.0 + 6.0;
        let middle = ((x + end) / 2.0).clamp(LABELS + half, WIDTH - half);
        let _ = write!(
            out,
            "<rect class=\"two-writers\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{text}\
             </title></rect><rect class=\"two-writers-ground\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"17\" \
             rx=\"2\"/><text class=\"two-writers-text\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            top - 4.0,
            bottom - top + 8.0,
            middle - half,
            bottom + 4.0,
            half * 2.0,
            bottom + 16.5,
        );
    }
}

fn lane_label(out: &mut String, label: &str, detail: &str, middle: f64) {
    let x = LABELS - 10.0;
    let _ = write!(
        out,
        "<text class=\"lane\" x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"lane-detail\" x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        middle - 0.5,
        escape(&shortened(label, 22)),
        middle + 11.5,
        escape(&shortened(detail, 26)),
    );
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Draws one lane with its top at `y`; returns its height.
fn draw_lane(out: &mut String, lane: &Lane, axis: &Axis, y: f64) -> f64 {
    let height = match &lane.content {
        Content::Bands(bands) => {
            draw_bands(out, bands, axis, y);
            BAND
        }
        Content::Node { place, roles, writes } => {
            draw_bands(out, roles, axis, y);
            let mut path = String::new();
            for (from_us, to_us) in writes.iter().filter(|(from_us, to_us)| axis.shows(*from_us, *to_us)) {
                let x = axis.x(*from_us);
                rectangle(&mut path, x, y + BAND + 2.0, (axis.x(*to_us) - x).max(1.5), WRITES);
            }
            if !path.is_empty() {
                let _ = write!(
                    out,
                    "<path class=\"writes n{}\" d=\"{path}\"><title>writes acknowledged by {}</title></path>",
                    place % 6,
                    escape(&lane.label)
                );
            }
            BAND + 2.0 + WRITES
        }
        Content::Attempts(attempts) => {
            draw_attempts(out, &attempts.shown(), y);
            UP + DOWN
        }
    };
    lane_label(out, &lane.label, &lane.detail, y + height / 2.0);
    height
}

fn draw_bands(out: &mut String, bands: &[Band], axis: &Axis, y: f64) {
    for band in bands.iter().filter(|band| axis.shows(band.from_us, band.to_us)) {
        let (x, end) = (axis.x(band.from_us), axis.x(band.to_us));
        let (shape, text) = classes(band.style);
        let width = (end - x).max(1.0);
        let title = band.labels.first().map(|label| escape(label)).unwrap_or_default();
        let fill = match band.style {
            Style::Nobody | Style::Unreachable | Style::Unwatched | Style::Down => " fill=\"url(#hatch)\"",
            _ => "",
        };
        let length = seconds((band.to_us - band.from_us) as f64 / 1e3);
        let _ = write!(
            out,
            "<rect class=\"band {shape}\"{fill} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAND}\">\
             <title>{title} ({length})</title></rect>"
        );
        if let Some(label) = band.labels.iter().find(|label| !label.is_empty() && text_width(label) + 10.0 <= width) {
            let text_x = clear_of(axis.x(axis.origin_us), x, end, text_width(label) + 10.0);
            if !fill.is_empty() {
                let (ground_x, ground_y) = (text_x + 3.0, y + 3.5);
                let _ = write!(
                    out,
                    "<rect class=\"text-ground\" x=\"{ground_x:.1}\" y=\"{ground_y:.1}\" width=\"{:.1}\" height=\"15\"/>",
                    text_width(label) + 4.0
                );
            }
            let label = escape(label);
            let _ =
                write!(out, "<text class=\"{text}\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>", text_x + 5.0, y + 15.5);
        }
    }
}

/// Where a text that takes `width` begins in a band: at its left, or right of the line at `line` if it would cross
/// that and there is room.
fn clear_of(line: f64, x: f64, end: f64, width: f64) -> f64 {
    let crosses = x + 1.0 < line && line < x + width;
    if crosses && line + width <= end { line } else { x }
}

/// The classes of a band's shape and of the text in it.
fn classes(style: Style) -> (String, &'static str) {
    let node = |role: &str, place: usize| format!("{role} n{}", place % 6);
    match style {
        Style::Fault => ("fault".to_owned(), "on-fill"),
        Style::Holder(place) => (node("holder", place), "on-fill"),
        Style::Primary(place) => (node("primary", place), "on-fill"),
        Style::Standby(place) => (node("standby", place), "on-tint"),
        Style::Nobody => ("nobody".to_owned(), "on-tint"),
        Style::Unreachable => ("unreachable".to_owned(), "on-tint"),
        Style::Unwatched => ("unwatched".to_owned(), "on-tint"),
        Style::Up => ("up".to_owned(), "on-tint"),
        Style::Down => ("down".to_owned(), "on-tint"),
    }
}

/// Successes rise from the lane's line, failures hang from it: refused nearer to the line, unknown below.
fn draw_attempts(out: &mut String, buckets: &[Bucket], y: f64) {
    let line = y + UP;
    let width = (WIDTH - LABELS - MARGIN) / BUCKETS as f64;
    let (mut acknowledged, mut refused, mut unknown) = (String::new(), String::new(), String::new());
    let mut place = 0;
    while place < buckets.len() {
        let bucket = buckets[place];
        let shares = shares(bucket);
        let same = buckets[place..].iter().take_while(|next| self::shares(**next) == shares).count();
        if let Some([up, down, unsure]) = shares {
            let x = LABELS + place as f64 * width;
            let wide = same as f64 * width;
            let (up, down, unsure) = (up as f64 / 8.0 * UP, down as f64 / 8.0 * DOWN, unsure as f64 / 8.0 * DOWN);
            rectangle(&mut acknowledged, x, line - up, wide, up);
            rectangle(&mut refused, x, line, wide, down);
            rectangle(&mut unknown, x, line + down, wide, unsure);
        }
        place += same;
    }
    for (class, path) in [("acknowledged", acknowledged), ("refused", refused), ("unknown", unknown)] {
        if !path.is_empty() {
            let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"><title>{class}</title></path>");
        }
    }
    let _ = write!(
        out,
        "<line class=\"base\" x1=\"{LABELS}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\"/>",
        WIDTH - MARGIN
    );
}

/// Shares of acknowledged, refused and unknown attempts, in eighths; a single one is never rounded away.
fn shares(bucket: Bucket) -> Option<[u32; 3]> {
    let total = bucket.total();
    let eighths = |count: u32| (count * 8).div_ceil(total);
    (total > 0).then(|| [bucket.acknowledged, bucket.refused, bucket.unknown].map(eighths))
}

fn rectangle(path: &mut String, x: f64, y: f64, width: f64, height: f64) {
    if height > 0.0 {
        let _ = write!(path, "M{x:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}z");
    }
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{
        drawing::{Measured, PhaseMark},
        sample::{self, HOST_KILL},
    };

    proptest! {
        #[test]
        fn the_axis_is_monotone_and_stays_inside(
            from_us in 0..1_000_000_000u64,
            span_us in 1_000_000..600_000_000u64,
            times in prop::collection::vec(0..2_000_000_000u64, 2..20),
        ) {
            let axis = Axis { from_us, to_us: from_us + span_us, origin_us: from_us + span_us / 7 };
            let mut times = times;
            times.sort_unstable();
            for pair in times.windows(2) {
                prop_assert!(axis.x(pair[0]) <= axis.x(pair[1]));
            }
            for at_us in times {
                prop_assert!((LABELS..=WIDTH - MARGIN).contains(&axis.x(at_us)));
            }
            let ticks = axis.ticks();
            prop_assert!(ticks.len() <= 14);
            for pair in ticks.windows(2) {
                prop_assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
            }
        }
    }

    #[test]
    fn a_lone_failure_is_never_rounded_away() {
        assert_eq!(shares(Bucket { acknowledged: 999, refused: 1, unknown: 0 }), Some([8, 1, 0]));
        assert_eq!(shares(Bucket::default()), None);
    }

    #[test]
    fn a_failover_is_drawn_small_and_with_every_phase() {
        let events = sample::scenario(1, sample::started("<kill> & \"co\"", 1, 1), HOST_KILL);
        let phases = [("detect", 12_000, 36_080), ("elect", 36_080, 36_390), ("promote", 36_390, 37_310)]
            .map(|(name, from, to)| PhaseMark { name: name.to_owned(), from_us: from * 1000, to_us: to * 1000 });
        let events: Vec<_> = events.iter().collect();
        let timeline =
            Timeline::new(&sample::plan(), &events, Measured { phases: phases.to_vec(), ..Measured::default() })
                .unwrap();
        let svg = draw(&timeline, "t1", "<kill> & \"co\"");
        assert!(svg.len() < 100_000, "{} bytes", svg.len());
        for text in ["detect 24.1 s", "elect 310 ms", "promote 920 ms", "fault takes effect", "recovered", "nobody"] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert!(svg.contains("&lt;kill&gt; &amp; &quot;co&quot;"));
    }
}
