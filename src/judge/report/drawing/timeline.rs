//! What the drawing of a scenario shows, worked out from its events: a window of time and lanes in it.
//!
//! Nothing here measures: figures come from the checks. A lane shows what was recorded, aggregated to what a
//! pixel can hold.

use std::collections::BTreeMap;

use super::attempts::{Attempts, acknowledged_writes, attempt_lanes, runs};
use crate::{
    checks::course::record::leader_key,
    history::{
        Event,
        event::{Milestone, NodeState, Occurrence, Role},
    },
    plan::{Plan, PlannedDcs},
    topology::Cluster,
};

/// Time shown before the first fault.
const LEAD_IN_US: u64 = 5_000_000;
/// Time shown after the last thing of interest.
const LEAD_OUT_US: u64 = 4_000_000;
/// No more than this is drawn, whatever times a history names.
const LONGEST_US: u64 = 24 * 3600 * 1_000_000;
/// A rejoin that comes later than this after the recovery is named in a note and not drawn.
const REJOIN_DRAWN_WITHIN_US: u64 = 30_000_000;
/// A node that was not seen for this long was not watched.
const UNWATCHED_AFTER_US: u64 = 4_000_000;
/// Acknowledged writes of a node that are closer than this are drawn as one.
const WRITES_GAP_US: u64 = 200_000;

/// What the verdict measured and the drawing marks.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The instant from which the checks measure; without it the first fault's effect is taken.
    pub origin_us: Option<u64>,
    pub phases: Vec<PhaseMark>,
    /// Times in which two nodes that hold the same rows surely were writers both.
    pub two_writers_us: Vec<(u64, u64)>,
}

/// A part of a failover, to be marked on the drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseMark {
    pub name: String,
    pub from_us: u64,
    pub to_us: u64,
}

/// What a band of a lane stands for; a number is the node's place in the plan, which gives its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Fault,
    Holder(usize),
    Nobody,
    Primary(usize),
    Standby(usize),
    Unreachable,
    Unwatched,
    Up,
    Down,
}

/// A stretch of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    pub from_us: u64,
    pub to_us: u64,
    pub style: Style,
    /// Texts for the band, the longest first; the first that fits is written into it.
    pub labels: Vec<String>,
}

/// From when on a lane is in a state, which, and the texts for it.
type State = (u64, Style, Vec<String>);

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Bands(Vec<Band>),
    /// A node: its role, and below it the runs of writes that it acknowledged.
    Node {
        place: usize,
        roles: Vec<Band>,
        writes: Vec<(u64, u64)>,
    },
    /// A client's attempts, in [`super::attempts::BUCKETS`] equal stretches of the window.
    Attempts(Attempts),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    pub label: String,
    /// A second, quieter line of the label.
    pub detail: String,
    pub content: Content,
}

/// One scenario's drawing, before it becomes shapes. Lanes may reach beyond the window; the drawing cuts them.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// Where the axis has its zero: the first fault's effect.
    pub origin_us: u64,
    /// Whether a fault took effect; without one the zero is the start of what is drawn.
    pub has_fault: bool,
    pub from_us: u64,
    pub to_us: u64,
    pub lanes: Vec<Lane>,
    pub phases: Vec<PhaseMark>,
    /// Times in which two nodes each acknowledged writes.
    pub two_writers: Vec<(u64, u64)>,
    /// What the check measured as their whole length; it stands beside them when there is one.
    pub overlap_ms: Option<f64>,
    /// Points in time worth a line: recovered, rejoined.
    pub milestones: Vec<(u64, &'static str)>,
    /// What is not drawn, and when it was.
    pub notes: Vec<String>,
}

impl Timeline {
    /// Works out the drawing of one scenario. `None` without events.
    pub fn new(plan: &Plan, events: &[&Event], measured: Measured) -> Option<Self> {
        let Measured { origin_us, phases, two_writers_us } = measured;
        let first_us = events.first()?.at_us;
        let last_us = events.iter().map(|event| event.at_us).max()?;
        let effect_us = events.iter().find_map(|event| match event.what {
            Occurrence::FaultConfirmed { effect_from_us, .. } => Some(effect_from_us),
            _ => None,
        });
        let steady_us = reached(events, Milestone::SteadyState);
        let origin = origin_us.or(effect_us).or(steady_us).unwrap_or(first_us);
        let mut notes = Vec::new();
        let (from_us, to_us) = window(events, origin, (first_us, last_us), (&phases, &two_writers_us), &mut notes);
        let milestones = [(Milestone::Recovered, "recovered"), (Milestone::Rejoined, "rejoined")]
            .into_iter()
            .filter_map(|(milestone, name)| Some((reached(events, milestone)?, name)))
            .filter(|(at_us, _)| (from_us..=to_us).contains(at_us))
            .collect();
        let acknowledged = acknowledged_writes(events);
        let lanes = fault_lanes(events, to_us)
            .into_iter()
            .chain(plan.clusters.iter().filter_map(|cluster| leader_key_lane(plan, cluster, events, to_us)))
            .chain(plan.dcs.iter().filter_map(|dcs| dcs_leader_lane(plan, dcs, events, to_us)))
            .chain((0..plan.nodes.len()).map(|place| node_lane(plan, place, events, &acknowledged, to_us)))
            .chain(proxy_lanes(plan, events, to_us))
            .chain(attempt_lanes(plan, events, from_us, to_us))
            .collect();
        Some(Self {
            origin_us: origin,
            has_fault: origin_us.or(effect_us).is_some(),
            from_us,
            to_us,
            lanes,
            phases,
            two_writers: two_writers_us,
            overlap_ms: None,
            milestones,
            notes,
        })
    }
}

fn reached(events: &[&Event], wanted: Milestone) -> Option<u64> {
    events.iter().find_map(|event| match event.what {
        Occurrence::Reached { milestone } if milestone == wanted => Some(event.at_us),
        _ => None,
    })
}

/// From just before the fault to just after the recovery, and the rejoin if it is near.
fn window(
    events: &[&Event],
    origin_us: u64,
    (first_us, last_us): (u64, u64),
    (phases, two_writers_us): (&[PhaseMark], &[(u64, u64)]),
    notes: &mut Vec<String>,
) -> (u64, u64) {
    let from_us = origin_us.saturating_sub(LEAD_IN_US).max(first_us).min(u64::MAX - LONGEST_US);
    let recovered_us =
        phases.iter().map(|phase| phase.to_us).chain(reached(events, Milestone::Recovered)).max().unwrap_or(last_us);
    let overlap_us = two_writers_us.iter().map(|(_, to_us)| *to_us).max().unwrap_or(0);
    let shown_us = recovered_us.max(overlap_us);
    let after = |at_us: u64| at_us.saturating_sub(origin_us) as f64 / 1e6;
    let shown_us = match reached(events, Milestone::Rejoined) {
        Some(at_us) if at_us <= shown_us.saturating_add(REJOIN_DRAWN_WITHIN_US) => shown_us.max(at_us),
        Some(at_us) => {
            notes.push(format!("Every node had rejoined at +{:.1} s, which is not drawn.", after(at_us)));
            shown_us
        }
        None => shown_us,
    };
    let to_us = shown_us.saturating_add(LEAD_OUT_US).min(last_us).clamp(from_us + 1_000_000, from_us + LONGEST_US);
    (from_us, to_us)
}

fn fault_lanes(events: &[&Event], to_us: u64) -> Vec<Lane> {
    let injected = events.iter().filter_map(|event| match &event.what {
        Occurrence::FaultInjecting(fault) => Some(fault),
        _ => None,
    });
    injected
        .map(|fault| {
            let effect_us = events.iter().find_map(|event| match event.what {
                Occurrence::FaultConfirmed { fault: number, effect_from_us, .. } if number == fault.fault => {
                    Some(effect_from_us)
                }
                _ => None,
            });
            let healed_us = events.iter().find_map(|event| match event.what {
                Occurrence::FaultHealed { fault: number, .. } if number == fault.fault => Some(event.at_us),
                _ => None,
            });
            let name = fault.name.replace('_', " ");
            let began = effect_us.map(|from_us| {
                let labels = vec![format!("{name}: {}", fault.target), fault.target.clone(), name.clone()];
                (from_us, Style::Fault, labels)
            });
            let changes = events.iter().filter_map(|event| match &event.what {
                Occurrence::FaultChanged { fault: number, parameters, .. } if *number == fault.fault => {
                    let now: Vec<String> = parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
                    Some((event.at_us, Style::Fault, vec![format!("now {}", now.join(", ")), now.join(", ")]))
                }
                Occurrence::FaultSuspended { fault: number, .. } if *number == fault.fault => {
                    Some((event.at_us, Style::Unwatched, vec!["suspended".to_owned()]))
                }
                Occurrence::FaultResumed { fault: number, .. } if *number == fault.fault => {
                    Some((event.at_us, Style::Fault, vec![format!("{name} again"), name.clone()]))
                }
                _ => None,
            });
            let detail = if effect_us.is_some() { name.clone() } else { format!("{name}, not confirmed") };
            let bands = bands(began.into_iter().chain(changes), healed_us.unwrap_or(to_us));
            Lane { label: "fault".to_owned(), detail, content: Content::Bands(bands) }
        })
        .collect()
}

/// Who held a cluster's leader key.
fn leader_key_lane(plan: &Plan, cluster: &Cluster, events: &[&Event], to_us: u64) -> Option<Lane> {
    let kind = plan.dcs_of(cluster).map_or("DCS", |dcs| dcs.kind.name());
    let detail = if plan.clusters.len() > 1 { format!("{kind}, {}", cluster.name) } else { kind.to_owned() };
    let changes = leader_key(events.iter().copied(), Some(&cluster.name));
    let states = changes.iter().map(|change| held(plan, change.at_us, change.holder, "held by"));
    bands_lane("leader key", &detail, bands(states, to_us))
}

/// The leader of a DCS, where it was watched.
fn dcs_leader_lane(plan: &Plan, dcs: &PlannedDcs, events: &[&Event], to_us: u64) -> Option<Lane> {
    let detail = if plan.dcs.len() > 1 { format!("DCS of {}", dcs.name) } else { "DCS".to_owned() };
    let states = events.iter().filter_map(|event| match &event.what {
        Occurrence::DcsLeader { member, dcs: of, .. } if of.as_ref().is_none_or(|name| *name == dcs.name) => {
            Some(held(plan, event.at_us, member.as_deref(), "led by"))
        }
        _ => None,
    });
    bands_lane(&format!("{} leader", dcs.kind.name()), &detail, bands(states, to_us))
}

/// What somebody holds or leads, or nobody.
fn held(plan: &Plan, at_us: u64, holder: Option<&str>, verb: &str) -> State {
    let place = holder.and_then(|name| plan.nodes.iter().position(|node| node == name));
    match (holder, place) {
        (Some(name), Some(place)) => (at_us, Style::Holder(place), vec![format!("{verb} {name}"), name.to_owned()]),
        (Some(name), None) => (at_us, Style::Unwatched, vec![name.to_owned()]),
        (None, _) => (at_us, Style::Nobody, vec!["nobody".to_owned()]),
    }
}

fn bands_lane(label: &str, detail: &str, bands: Vec<Band>) -> Option<Lane> {
    let lane = |bands| Lane { label: label.to_owned(), detail: detail.to_owned(), content: Content::Bands(bands) };
    (!bands.is_empty()).then(|| lane(bands))
}

fn node_lane(
    plan: &Plan,
    place: usize,
    events: &[&Event],
    acknowledged: &BTreeMap<&str, Vec<u64>>,
    to_us: u64,
) -> Lane {
    let node = plan.nodes[place].as_str();
    let mut states = Vec::new();
    let mut seen_us = None;
    for event in events {
        match &event.what {
            Occurrence::NodeState(state) if state.node == node => {
                if let Some(last_us) =
                    seen_us.filter(|last_us| event.at_us.saturating_sub(*last_us) > UNWATCHED_AFTER_US)
                {
                    states.push((last_us, Style::Unwatched, vec!["not watched".to_owned()]));
                }
                seen_us = Some(event.at_us);
                states.push(node_band(place, event.at_us, state));
            }
            _ => {}
        }
    }
    if let Some(last_us) = seen_us.filter(|last_us| *last_us < to_us.saturating_sub(UNWATCHED_AFTER_US)) {
        states.push((last_us, Style::Unwatched, vec!["not watched".to_owned()]));
    }
    let of = plan.cluster_of(node).filter(|_| plan.clusters.len() > 1);
    let detail = of.map_or("role, writes".to_owned(), |cluster| format!("{}: role, writes", cluster.name));
    let writes = acknowledged.get(node).map(|times| runs(times, WRITES_GAP_US)).unwrap_or_default();
    let roles = bands(states, to_us);
    Lane { label: node.to_owned(), detail, content: Content::Node { place, roles, writes } }
}

fn node_band(place: usize, at_us: u64, state: &NodeState) -> State {
    let timeline = state.timeline.map(|timeline| format!("TL {timeline}")).unwrap_or_default();
    let named = |role: &str| vec![format!("{role} {timeline}").trim_end().to_owned(), timeline.clone()];
    match state.role.filter(|_| state.reachable) {
        Some(Role::Primary) => (at_us, Style::Primary(place), named("primary")),
        Some(Role::Standby) if state.streaming_from.is_none() => {
            (at_us, Style::Standby(place), named("standby, not streaming,"))
        }
        Some(Role::Standby) => (at_us, Style::Standby(place), named("standby")),
        None => (at_us, Style::Unreachable, vec!["unreachable".to_owned(), "down".to_owned()]),
    }
}

/// One lane for each server of the backends through which clients write.
fn proxy_lanes(plan: &Plan, events: &[&Event], to_us: u64) -> Vec<Lane> {
    let mut servers: BTreeMap<(&str, &str, &str), Vec<State>> = BTreeMap::new();
    for event in events {
        if let Occurrence::ProxyState { proxy, backend, server, up, status } = &event.what {
            let style = if *up { Style::Up } else { Style::Down };
            servers.entry((proxy, backend, server)).or_default().push((event.at_us, style, vec![status.clone()]));
        }
    }
    let takes_writes = |name: &str| plan.endpoint(name).is_some_and(|endpoint| endpoint.serves.is_for_writes());
    servers
        .into_iter()
        .filter(|((_, backend, _), _)| takes_writes(backend))
        .map(|((proxy, backend, server), states)| Lane {
            label: server.to_owned(),
            detail: format!("{proxy} {backend}"),
            content: Content::Bands(bands(states, to_us)),
        })
        .collect()
}

/// Turns states, each beginning at an instant, into bands; equal neighbours become one.
fn bands(states: impl IntoIterator<Item = State>, to_us: u64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for (at_us, style, labels) in states {
        if let Some(last) = bands.last_mut() {
            if last.style == style && last.labels == labels {
                continue;
            }
            last.to_us = at_us.max(last.from_us);
        }
        bands.push(Band { from_us: at_us, to_us: to_us.max(at_us), style, labels });
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::course::{
        record,
        reigns::{Beside, overlaps, reigns},
    };
    use crate::report::sample::{self, FAULT_AT_MS, HOST_KILL, TWO_WRITERS};

    fn drawn(events: &[Event]) -> Timeline {
        let reigns = reigns(&record::attempts(events), &Beside::default());
        let measured = Measured { two_writers_us: overlaps(&reigns), ..Measured::default() };
        Timeline::new(&sample::plan(), &events.iter().collect::<Vec<_>>(), measured).unwrap()
    }

    fn timeline(failover: sample::Failover) -> Timeline {
        drawn(&sample::scenario(1, sample::started("s", 1, 1), failover))
    }

    fn lane<'a>(timeline: &'a Timeline, detail: &str, label: &str) -> &'a Content {
        &timeline.lanes.iter().find(|lane| lane.label == label && lane.detail.contains(detail)).unwrap().content
    }

    #[test]
    fn the_leader_key_is_held_then_by_nobody_then_by_the_next() {
        let timeline = timeline(HOST_KILL);
        let Content::Bands(bands) = lane(&timeline, "etcd", "leader key") else { panic!("bands") };
        assert_eq!(
            bands.iter().map(|band| band.style).collect::<Vec<_>>(),
            [Style::Holder(0), Style::Nobody, Style::Holder(1)]
        );
        assert_eq!(bands[1].to_us - bands[1].from_us, (HOST_KILL.elected_ms - HOST_KILL.detected_ms) * 1000);
    }

    #[test]
    fn equal_states_of_a_node_are_one_band() {
        let timeline = timeline(HOST_KILL);
        let Content::Node { roles, .. } = lane(&timeline, "role", "node1") else { panic!("a node") };
        assert_eq!(
            roles.iter().map(|band| band.style).collect::<Vec<_>>(),
            [Style::Primary(0), Style::Unreachable, Style::Standby(0)]
        );
        assert_eq!(roles[0].labels[0], "primary TL 1");
    }

    #[test]
    fn a_node_that_nobody_looks_at_is_not_drawn_as_what_it_was() {
        let mut events = sample::scenario(1, sample::started("s", 1, 1), HOST_KILL);
        events.retain(|event| {
            let seen = matches!(&event.what, Occurrence::NodeState(state) if state.node == "node3");
            !seen || !(20_000_000..30_000_000).contains(&event.at_us)
        });
        let timeline = drawn(&events);
        let Content::Node { roles, .. } = lane(&timeline, "role", "node3") else { panic!("a node") };
        assert!(roles.iter().any(|band| band.style == Style::Unwatched), "{roles:?}");
    }

    #[test]
    fn a_fault_that_changes_begins_another_band() {
        let mut events = sample::scenario(1, sample::started("s", 1, 1), HOST_KILL);
        let confirmed = |event: &Event| matches!(event.what, Occurrence::FaultConfirmed { .. });
        let at = events.iter().position(confirmed).unwrap();
        let parameters = [("round_trip".to_owned(), "300 ms".to_owned())].into();
        let what = Occurrence::FaultChanged { fault: 1, parameters, evidence: String::new() };
        events.insert(at + 1, Event { at_us: events[at].at_us + 5_000_000, what, ..events[at].clone() });
        let timeline = drawn(&events);
        let Content::Bands(bands) = lane(&timeline, "", "fault") else { panic!("bands") };
        assert_eq!(bands.len(), 2);
        assert_eq!(bands[1].labels[0], "now round_trip 300 ms");
        assert_eq!(bands[0].to_us, bands[1].from_us);
    }

    #[test]
    fn every_attempt_in_the_window_is_in_one_bucket() {
        let timeline = timeline(HOST_KILL);
        let Content::Attempts(Attempts { buckets, .. }) = lane(&timeline, "new", "write endpoint") else {
            panic!("attempts")
        };
        let total: u32 = buckets.iter().map(|bucket| bucket.total()).sum();
        assert_eq!(u64::from(total), (timeline.to_us - timeline.from_us).div_ceil(20_000));
        let refused: u32 = buckets.iter().map(|bucket| bucket.refused).sum();
        assert_eq!(u64::from(refused), HOST_KILL.written_ms.div_ceil(20));
    }

    #[test]
    fn two_writers_are_an_overlap_and_a_failover_is_none() {
        assert_eq!(timeline(HOST_KILL).two_writers, []);
        let overlaps = timeline(TWO_WRITERS).two_writers;
        let [(from_us, to_us)] = overlaps[..] else { panic!("{overlaps:?}") };
        let (from_ms, to_ms) = (FAULT_AT_MS + TWO_WRITERS.promoted_ms, FAULT_AT_MS + TWO_WRITERS.old_writes_until_ms);
        assert!(from_us.abs_diff(from_ms * 1000) <= 110_000 && to_us.abs_diff(to_ms * 1000) <= 110_000, "{overlaps:?}");
    }

    #[test]
    fn a_late_rejoin_is_named_and_not_drawn() {
        let mut events = sample::scenario(1, sample::started("s", 1, 1), HOST_KILL);
        for event in &mut events {
            if let Occurrence::Reached { milestone: Milestone::Rejoined } = event.what {
                event.at_us = 400_000_000;
            }
        }
        let timeline = drawn(&events);
        assert_eq!(timeline.notes.len(), 1);
        assert!(timeline.to_us < 60_000_000);
    }
}
