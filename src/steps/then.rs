//! `Then`: expectations. A step states one; the checks judge it when the scenario is closed, so that a missed one
//! does not keep the others from being judged.

mod applications;
mod databases;
mod encryption;
mod subscribers;
mod upgrades;

use cucumber::gherkin::StepType::Then;

use super::{Intent, StepDefinition, WordError, Words, words::step};
use crate::{
    checks::{
        Check, archive, archive_fallback, cascade, commands, commit_wait, cost, course::phases::PHASES, data_loss,
        dcs_failover, dcs_isolation, dcs_repair, firewall, name_convergence, name_shares, pool, pools_split, promotion,
        recovery_time, rejoin, replica_reads, replication_lag, replication_lag::Hop, restore, rotation, routing,
        single_writer, slot, virtual_address, watchdog, write_blocked,
    },
    history::event::Bound,
};

/// Every table of this keyword.
pub(super) const TABLES: &[&[StepDefinition]] =
    &[ALL, applications::ALL, databases::ALL, encryption::ALL, subscribers::ALL, upgrades::ALL];

/// A measure of a check.
struct Measured {
    check: &'static str,
    measure: &'static str,
}

const WRITE_OUTAGE: Measured = measured(&recovery_time::CHECK, recovery_time::WRITE_OUTAGE_MS);
const TOTAL_OUTAGE: Measured = measured(&recovery_time::CHECK, recovery_time::TOTAL_OUTAGE_MS);
const OUTAGES: Measured = measured(&recovery_time::CHECK, recovery_time::OUTAGES);
const CLIENT_GAP: Measured = measured(&recovery_time::CHECK, recovery_time::LONGEST_CLIENT_GAP_MS);
const READ_OUTAGE: Measured = measured(&recovery_time::CHECK, recovery_time::READ_OUTAGE_MS);
const READ_OUTAGES: Measured = measured(&recovery_time::CHECK, recovery_time::READ_OUTAGES);
const READ_GAP: Measured = measured(&recovery_time::CHECK, recovery_time::LONGEST_READ_GAP_MS);
const STALE_READ: Measured = measured(&recovery_time::CHECK, recovery_time::STALE_READ_MS);
const OLD_PRIMARY_WRITES: Measured = measured(&recovery_time::CHECK, recovery_time::OLD_PRIMARY_WRITES_MS);
const LOST_ROWS: Measured = measured(&data_loss::CHECK, "lost_rows");
const LOST: Measured = measured(&data_loss::CHECK, "lost_ms");
const PROMOTED_BEHIND: Measured = measured(&promotion::CHECK, "promoted_behind_bytes");
const PROMOTIONS: Measured = measured(&promotion::CHECK, "promotions");
const BARRED_PROMOTIONS: Measured = measured(&promotion::CHECK, "barred_promotions");
const PRIMARY_CHANGES: Measured = measured(&promotion::CHECK, "primary_changes");
const OVERLAP: Measured = measured(&single_writer::CHECK, "overlap_ms");
const RESET_MARGIN: Measured = measured(&watchdog::CHECK, watchdog::RESET_MARGIN_MS);
const REJOIN: Measured = measured(&rejoin::CHECK, "rejoin_ms");
const MISLED: Measured = measured(&routing::CHECK, routing::MISLED_WRITES);
const POOLED_LEFT: Measured = measured(&pool::CHECK, pool::POOLED_CLIENTS_LEFT);
const POOLED_WRONG: Measured = measured(&pool::CHECK, pool::SESSIONS_ON_WRONG_NODE);
const IDLE_LEFT: Measured = measured(&pool::CHECK, pool::IDLE_CLIENTS_LEFT);
const POOLED_WAIT: Measured = measured(&pool::CHECK, pool::POOLED_WAIT_MS);
const POOL_SESSIONS: Measured = measured(&pool::CHECK, pool::POOL_SESSIONS_MAX);
const SPLIT_DEFECTS: Measured = measured(&pools_split::CHECK, pools_split::SPLIT_DEFECTS);
const TAKEOVER: Measured = measured(&virtual_address::CHECK, virtual_address::ADDRESS_TAKEOVER_MS);
const STANDBY_LAG: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Standby).max_ms);
const STANDBY_LAG_P95: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Standby).p95_ms);
const REGION_LAG: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Region).max_ms);
const REGION_LAG_P95: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Region).p95_ms);
const REGION_LAG_BYTES: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Region).max_bytes);
const REGION_LAG_BEFORE_FAULT: Measured =
    measured(&replication_lag::CHECK, replication_lag::names(Hop::Region).before_fault_p95_ms);
const SHIPPING_LAG_P95: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Shipping).p95_ms);
const CASCADE_LAG: Measured = measured(&replication_lag::CHECK, replication_lag::names(Hop::Cascade).max_ms);
const STALENESS: Measured = measured(&replica_reads::CHECK, replica_reads::REPLICA_STALENESS_MAX_MS);
const STALENESS_P95: Measured = measured(&replica_reads::CHECK, replica_reads::REPLICA_STALENESS_P95_MS);
const READS_GONE_BACK: Measured = measured(&replica_reads::CHECK, replica_reads::READS_GONE_BACK);
const SLOTS_LOST: Measured = measured(&slot::CHECK, slot::SLOTS_LOST);
const SLOT_HELD: Measured = measured(&slot::CHECK, slot::SLOT_HELD_MAX_BYTES);
const AGAINST_RULE: Measured = measured(&commit_wait::CHECK, commit_wait::COMMITS_AGAINST_RULE);
const DCS_NOT_REPAIRED: Measured = measured(&dcs_repair::CHECK, dcs_repair::DCS_NOT_REPAIRED);
const LET_THROUGH: Measured = measured(&firewall::CHECK, firewall::CONNECTIONS_LET_THROUGH);
const KEPT_OUT: Measured = measured(&firewall::CHECK, firewall::CONNECTIONS_KEPT_OUT);
const COMMANDS_FAILED: Measured = measured(&commands::CHECK, commands::COMMANDS_FAILED);
const COMMIT_RATIO_1: Measured = measured(&cost::CHECK, cost::COMMIT_RATIO_1);
const COMMIT_RATIO_2: Measured = measured(&cost::CHECK, cost::COMMIT_RATIO_2);
const DCS_GAP: Measured = measured(&dcs_failover::CHECK, dcs_failover::DCS_LEADER_GAP_MS);
const OUT_OF_ROTATION: Measured = measured(&rotation::CHECK, rotation::OUT_OF_ROTATION_MS);
const DETACHED: Measured = measured(&cascade::CHECK, cascade::DETACHED_STANDBYS);
const LEADER_GAP: Measured = measured(&cascade::CHECK, cascade::STANDBY_LEADER_GAP_MS);
const FOREIGN_LEADERS: Measured = measured(&dcs_isolation::CHECK, dcs_isolation::FOREIGN_LEADERS);
const LAST_CLIENT: Measured = measured(&name_convergence::CHECK, name_convergence::LAST_CLIENT_MS);
const MISDRAWN: Measured = measured(&name_shares::CHECK, name_shares::MISDRAWN_HOSTS);
const ARCHIVE_MISSING: Measured = measured(&archive::CHECK, archive::ARCHIVE_MISSING_FILES);
const ARCHIVE_OVERWRITTEN: Measured = measured(&archive::CHECK, archive::ARCHIVE_OVERWRITTEN_FILES);
const ARCHIVE_LAG: Measured = measured(&archive::CHECK, archive::ARCHIVE_LAG_MS);
const FALLBACKS_MISSED: Measured = measured(&archive_fallback::CHECK, archive_fallback::FALLBACKS_MISSED);
const RESTORE: Measured = measured(&restore::CHECK, restore::RESTORE_MS);
const RESTORE_MISSING: Measured = measured(&restore::CHECK, restore::RESTORE_MISSING_ROWS);
const RESTORE_SURPLUS: Measured = measured(&restore::CHECK, restore::RESTORE_SURPLUS_ROWS);
const BLOCKED_WRITES: Measured = measured(&write_blocked::CHECK, write_blocked::BLOCKED_REGION_WRITES);

/// The measure of this name. One that the check does not have does not compile.
const fn measured(check: &Check, measure: &'static str) -> Measured {
    let mut index = 0;
    while index < check.measures.len() {
        if equal(check.measures[index].as_bytes(), measure.as_bytes()) {
            return Measured { check: check.name, measure };
        }
        index += 1;
    }
    panic!("the check has no measure of this name")
}

/// What `==` is for text, where constants are made.
const fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

impl Measured {
    /// The measure is to be at most the duration that stands first in the step.
    fn at_most_duration(self, words: &Words<'_>) -> Result<Intent, WordError> {
        let bound = Bound::AtMost(words.milliseconds(0)?);
        self.bounded(words, bound)
    }

    fn bounded(self, words: &Words<'_>, bound: Bound) -> Result<Intent, WordError> {
        words.expect(self.check, self.measure, bound)
    }
}

const ALL: &[StepDefinition] = &[
    step(
        Then,
        "clients can't write for at most {duration}",
        "each write outage, from the fault to the first write of an unbroken run",
        |words| WRITE_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "clients can't write for between {duration} and {duration}",
        "the same, and the longest with a lower bound: less would mean that the fault did not bite",
        |words| WRITE_OUTAGE.bounded(words, Bound::Between(words.milliseconds(0)?, words.milliseconds(1)?)),
    ),
    step(
        Then,
        "clients can't write for at most {duration} in total",
        "all write outages together, from the first fault to the end of the load",
        |words| TOTAL_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "there is at most one outage",
        "how often clients lost service, from the first fault to the end of the load; 100 ms without a write are an outage",
        |words| OUTAGES.bounded(words, Bound::AtMost(1.0)),
    ),
    step(Then, "there are at most {int} outages", "the same for a larger number", |words| {
        OUTAGES.bounded(words, Bound::AtMost(f64::from(words.number(0)?)))
    }),
    step(
        Then,
        "no client waits longer than {duration} for a write",
        "the longest time between two acknowledged writes of any one writer of the load",
        |words| CLIENT_GAP.at_most_duration(words),
    ),
    step(
        Then,
        "clients can't read for at most {duration}",
        "the longest outage of the endpoint for reads, after the first fault",
        |words| READ_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "there is at most one outage of reads",
        "how often the endpoint for reads failed, from the first fault to the end of the load",
        |words| READ_OUTAGES.bounded(words, Bound::AtMost(1.0)),
    ),
    step(Then, "there are at most {int} outages of reads", "the same for a larger number", |words| {
        READ_OUTAGES.bounded(words, Bound::AtMost(f64::from(words.number(0)?)))
    }),
    step(
        Then,
        "no client waits longer than {duration} for a read",
        "the longest time between two answers to the client that holds a session at the endpoint for reads",
        |words| READ_GAP.at_most_duration(words),
    ),
    step(
        Then,
        "clients read from a superseded timeline for at most {duration}",
        "from the first write on a later timeline to the last read that an earlier one answered",
        |words| STALE_READ.at_most_duration(words),
    ),
    step(Then, "the {phase} phase takes at most {duration}", "one phase of each outage that has it", |words| {
        let name = words.text(0)?;
        let phase = PHASES.iter().find(|phase| phase.name == name).ok_or(WordError::Missing(0))?;
        words.expect(recovery_time::CHECK.name, phase.measure, Bound::AtMost(words.milliseconds(1)?))
    }),
    step(
        Then,
        "the old primary acknowledges no write after {duration}",
        "from the fault to the last write that the node which another one replaced acknowledged to anyone",
        |words| OLD_PRIMARY_WRITES.at_most_duration(words),
    ),
    step(Then, "no acknowledged write is lost", "every acknowledged write is found on every node", |words| {
        LOST_ROWS.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "at most {duration} of acknowledged writes are lost",
        "the span of the acknowledged writes that are on no node any more",
        |words| LOST.at_most_duration(words),
    ),
    step(Then, "no node is promoted", "no node begins a timeline of its own after the first fault", |words| {
        PROMOTIONS.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "no node is promoted that its tags bar",
        "no node with `nofailover`, or with a `failover_priority` of 0, begins a timeline of its own",
        |words| BARRED_PROMOTIONS.bounded(words, Bound::Exactly(0.0)),
    ),
    step(Then, "a node is promoted", "a node begins a timeline of its own after the first fault", |words| {
        PROMOTIONS.bounded(words, Bound::AtLeast(1.0))
    }),
    step(Then, "the primary stays", "no other node than before becomes primary after the first fault", |words| {
        PRIMARY_CHANGES.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "at most {int} writes of unknown fate are missing",
        "writes whose answer never came, and that are not there in the end; a client must ask for each of them",
        |words| words.expect("data_loss", "unknown_missing_rows", Bound::AtMost(words.number(0)?.into())),
    ),
    step(
        Then,
        "no node that is more than {size} behind is promoted",
        "how much of the old primary's WAL a node lacked when it was elected",
        |words| PROMOTED_BEHIND.bounded(words, Bound::AtMost(words.bytes(0)? as f64)),
    ),
    step(Then, "never do two nodes accept writes", "no overlap of the times in which two nodes acknowledge", |words| {
        OVERLAP.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "the watchdog resets its host before another node leads",
        "a host whose agent does not refresh the lease is down when another node first holds the leader key",
        |words| RESET_MARGIN.bounded(words, Bound::AtLeast(0.0)),
    ),
    step(
        Then,
        "the node that was lost follows the new primary within {duration}",
        "from the healing of the fault until it streams on the new timeline",
        |words| REJOIN.at_most_duration(words),
    ),
    step(
        Then,
        "balancers lead clients that write to the primary",
        "no fresh client is led to a standby or to nobody once a node has served for as long as a balancer's checks take",
        |words| MISLED.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "pooled clients write again by themselves",
        "no client of the load that writes through a pooler is still refused when the load ends",
        |words| POOLED_LEFT.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "no pooled session stays with a standby",
        "no standby refuses a write on a session through a pooler once another node has settled as primary",
        |words| POOLED_WRONG.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "no pooled client waits longer than {duration} for a write",
        "the longest time between two acknowledged writes of a client that writes through a pooler",
        |words| POOLED_WAIT.at_most_duration(words),
    ),
    step(
        Then,
        "each pooler has at most {int} sessions with PostgreSQL",
        "the most that a pooler showed of the sessions that its clients share",
        |words| POOL_SESSIONS.bounded(words, Bound::AtMost(f64::from(words.number(0)?))),
    ),
    step(
        Then,
        "write pools and read pools are separate, and both come back",
        "no standby is asked to write through the write pools, reads are spread over the standbys, and both pools serve in the end",
        |words| SPLIT_DEFECTS.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "no host gets through to a port that no rule opens to it",
        "what a rule of the firewall accepts from one network is meant for that network alone",
        |words| LET_THROUGH.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "every host gets through to the ports that rules open to it",
        "each connection that a rule of the firewall is there to accept gets an answer",
        |words| KEPT_OUT.bounded(words, Bound::Exactly(0.0)),
    ),
    step(Then, "every command of the operator succeeds", "each ends with status 0", |words| {
        COMMANDS_FAILED.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "a DCS that lost every member is repaired",
        "it serves again, clients write, and whatever was to be restored from a snapshot was",
        |words| DCS_NOT_REPAIRED.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "no idle client is left behind",
        "every idle client has a session when the load ends, whatever broke meanwhile",
        |words| IDLE_LEFT.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "another host takes the virtual address over within {duration}",
        "from the loss of its holder, or of the balancer there, until another host answers for the address",
        |words| TAKEOVER.at_most_duration(words),
    ),
    step(
        Then,
        "standbys are never more than {duration} behind the primary",
        "the age of the oldest write that a standby of the primary had yet to replay, at every look",
        |words| STANDBY_LAG.at_most_duration(words),
    ),
    step(
        Then,
        "standbys are at most {duration} behind the primary in 95 of 100 looks",
        "the 95th percentile of the same",
        |words| STANDBY_LAG_P95.at_most_duration(words),
    ),
    step(
        Then,
        "the other region is never more than {duration} behind the primary",
        "the same for the leader of a cluster that follows another one",
        |words| REGION_LAG.at_most_duration(words),
    ),
    step(
        Then,
        "the other region is at most {duration} behind the primary in 95 of 100 looks",
        "the 95th percentile of the same",
        |words| REGION_LAG_P95.at_most_duration(words),
    ),
    step(
        Then,
        "by its archive the other region is at most {duration} behind the primary in 95 of 100 looks",
        "the 95th percentile while nobody streams to it, from the first file that it takes from there",
        |words| SHIPPING_LAG_P95.at_most_duration(words),
    ),
    step(
        Then,
        "the other region was between {duration} and {duration} behind the primary before the fault",
        "the 95th percentile of the looks before the first fault, with a lower bound",
        |words| {
            let bound = Bound::Between(words.milliseconds(0)?, words.milliseconds(1)?);
            REGION_LAG_BEFORE_FAULT.bounded(words, bound)
        },
    ),
    step(
        Then,
        "the other region never lacks more than {size} of WAL",
        "the WAL from what the leader of a cluster that follows has replayed to what the primary has written",
        |words| REGION_LAG_BYTES.bounded(words, Bound::AtMost(words.bytes(0)? as f64)),
    ),
    step(
        Then,
        "standbys of the other region are never more than {duration} behind the primary",
        "the age of the oldest write that a standby of a cluster that follows had yet to replay, at every look",
        |words| CASCADE_LAG.at_most_duration(words),
    ),
    step(
        Then,
        "what clients read from standbys is never older than {duration}",
        "the age of the oldest write that a read through an endpoint for reads did not see",
        |words| STALENESS.at_most_duration(words),
    ),
    step(
        Then,
        "what clients read from standbys is at most {duration} old in 95 of 100 reads",
        "the 95th percentile of the same",
        |words| STALENESS_P95.at_most_duration(words),
    ),
    step(
        Then,
        "the reads of a session never go back",
        "no read on a session sees less than an earlier one had seen",
        |words| READS_GONE_BACK.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the region that follows accepts no write",
        "no node and no endpoint of a cluster acknowledges a write until its promotion is ordered",
        |words| BLOCKED_WRITES.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the archive has no gap",
        "it holds every file of the WAL that the primary wrote, and the history of each timeline",
        |words| ARCHIVE_MISSING.bounded(words, Bound::Exactly(0.0)),
    ),
    step(Then, "nothing in the archive is overwritten", "no file of the WAL has two contents there", |words| {
        ARCHIVE_OVERWRITTEN.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "a file of the WAL is in the archive after at most {duration}",
        "from the time when the primary has filled it",
        |words| ARCHIVE_LAG.at_most_duration(words),
    ),
    step(
        Then,
        "the archive takes over where streaming breaks, and streaming comes back",
        "the cluster that follows replays from its archive while nobody streams to it, and streams again in the end",
        |words| FALLBACKS_MISSED.bounded(words, Bound::Exactly(0.0)),
    ),
    step(Then, "a restore takes at most {duration}", "from the first command until its target is reached", |words| {
        RESTORE.at_most_duration(words)
    }),
    step(
        Then,
        "what was restored holds every write up to its target",
        "each that was acknowledged before the target, and counts in the end",
        |words| RESTORE_MISSING.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "what was restored holds no write from after its target",
        "none that was sent after the target was read",
        |words| RESTORE_SURPLUS.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the slot of the region that follows is never lost",
        "each primary of the cluster that is followed has the slot, and the WAL that it holds",
        |words| SLOTS_LOST.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "at most {size} of WAL are kept for the region that follows",
        "the most WAL that a primary keeps for the slot of a cluster that follows",
        |words| SLOT_HELD.bounded(words, Bound::AtMost(words.bytes(0)? as f64)),
    ),
    step(
        Then,
        "at least {size} of WAL are kept for the region that follows",
        "the same from below: less would mean that the slot was not put to the test",
        |words| SLOT_HELD.bounded(words, Bound::AtLeast(words.bytes(0)? as f64)),
    ),
    step(
        Then,
        "every client writes to the new cluster within {duration}",
        "from the move of the clients, or the promotion if that came later, to the first write there of the last client",
        |words| LAST_CLIENT.at_most_duration(words),
    ),
    step(
        Then,
        "names lead clients by their weights",
        "the shares of the hosts among the connections that clients opened through a name, up to chance",
        |words| MISDRAWN.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "no cluster disturbs the DCS of another one",
        "each cluster's leader key is held by its own nodes alone",
        |words| FOREIGN_LEADERS.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "standbys of the region that follows stream from its leader",
        "in the end one node of the cluster streams from outside, and every other one from a node of it",
        |words| DETACHED.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the region that follows has no leader for at most {duration}",
        "the longest time between two looks at which a node of the cluster streamed from outside",
        |words| LEADER_GAP.at_most_duration(words),
    ),
    step(
        Then,
        "commits wait for the standbys that synchronous_standby_names asks for",
        "while one of them is slow, each commit waits for it if the rule says so, and none if it does not",
        |words| AGAINST_RULE.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "a commit with one synchronous standby takes at most {int} % of the time of one without",
        "medians of the writers' commits before the first fault, by how many `sync` standbys the primary was seen with",
        |words| COMMIT_RATIO_1.bounded(words, Bound::AtMost(f64::from(words.number(0)?) / 100.0)),
    ),
    step(
        Then,
        "a commit with two synchronous standbys takes at most {int} % of the time of one without",
        "the same of commits that wait for two",
        |words| COMMIT_RATIO_2.bounded(words, Bound::AtMost(f64::from(words.number(0)?) / 100.0)),
    ),
    step(
        Then,
        "the DCS has a leader again within {duration}",
        "from the loss of the member that led it until a member leads, as the members themselves say",
        |words| DCS_GAP.at_most_duration(words),
    ),
    step(
        Then,
        "balancers take a node that died out of their rotation within {duration}",
        "from the loss of a node until each balancer that had its server UP has it DOWN",
        |words| OUT_OF_ROTATION.at_most_duration(words),
    ),
];
